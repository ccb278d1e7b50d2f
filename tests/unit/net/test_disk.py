"""How much of a disk may be used."""

import os
from pathlib import Path

from kit.disks import quiet_folder, reserve_for
from streamferry.net.disk import Disk


def test_what_is_free_without_the_reserve_may_be_used() -> None:
    """It shrinks by what is written, below zero, and also for a folder that is not there yet."""
    with quiet_folder() as folder:
        disk = Disk(folder / "not" / "there", reserve_for(folder, 3_000_000))
        assert abs(disk.room_bytes - 3_000_000) < 100_000
        (folder / "file").write_bytes(os.urandom(4_000_000))
        assert disk.room_bytes < -900_000


def test_the_reserve_of_a_small_disk_is_a_part_of_it(tmp_path: Path) -> None:
    """A gigabyte, or a twentieth of a disk of less than 20."""
    disk = Disk(tmp_path)
    found = os.statvfs(tmp_path)
    reserve = min(1 << 30, found.f_blocks * found.f_frsize // 20)
    assert abs(disk.free_bytes - disk.room_bytes - reserve) < 200_000_000
