"""Files that are not where a task says: whoever reads it learns on which machine and in which folder."""

import os
from pathlib import Path

import pytest

from streamferry.media.errors import SourceForbidden, SourceMissing
from streamferry.net.folders import EVERYWHERE, Folders
from streamferry.reasons import sentence

HERE = os.uname().nodename


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_file_of_another_machine_is_missed_by_name_of_this_one(tmp_path: Path, where: str) -> None:
    """An uploaded file lies on one machine; a worker of another says where it looked."""
    library = tmp_path / "library"
    library.mkdir()
    path = library / "a.mp4" if where == "file" else library / "clips" / "a.mp4"
    with pytest.raises(SourceMissing) as raised:
        Folders.of([library]).check(str(path), "file:a.mp4")
    words = {
        "file": f"file:a.mp4 does not exist in {library} of the machine {HERE}",
        "folder": f"file:a.mp4 does not exist: there is no folder {library / 'clips'} on the machine {HERE}",
    }[where]
    assert str(raised.value) == words
    told = sentence(raised.value.why, "zh")
    assert "不存在" in told
    assert HERE in told
    assert str(path.parent) in told


def test_a_folder_that_only_the_service_allows_is_refused_by_name_of_the_machine(tmp_path: Path) -> None:
    """A worker that was started without the folder says so; what lies there nobody learns."""
    for path in (tmp_path / "there.mp4", tmp_path / "not-there.mp4"):
        (tmp_path / "there.mp4").touch()
        with pytest.raises(SourceForbidden) as raised:
            Folders.of([tmp_path / "other"]).check(str(path), "file:x.mp4")
        where = f"lies outside of the folders from which files may be read on the machine {HERE} (setting files)"
        assert str(raised.value) == f"file:x.mp4 {where}"
        assert HERE in sentence(raised.value.why, "zh")


def test_who_reads_from_everywhere_needs_no_machine(tmp_path: Path) -> None:
    """A command that somebody runs here."""
    with pytest.raises(SourceMissing) as raised:
        EVERYWHERE.check(str(tmp_path / "none.mp4"), "none.mp4")
    assert str(raised.value) == "none.mp4 does not exist"
