"""Files with secrets in folders that others may write into: no link and no file that waits there gets them."""

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamferry.cli.backup import _new_file
from streamferry.cli.commands import app
from streamferry.cli.quickstart import _write_key
from streamferry.service.seed import Prepared
from streamferry.store.records import KeyPair

TRAPS = ("link", "open file", "dangling link")


def lay(trap: str, at: Path, victim: Path) -> None:
    """What somebody else has put where a secret is about to be written."""
    if trap == "open file":
        at.write_text("old")
        at.chmod(0o666)
        return
    if trap == "link":
        victim.write_text("precious")
    at.symlink_to(victim)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_that_waits_for_the_key_does_not_get_it(tmp_path: Path, trap: str) -> None:
    """It was written through links, and into files that others may read."""
    folder, victim = tmp_path / "folder", tmp_path / "victim"
    folder.mkdir()
    lay(trap, folder / "key.env", victim)
    held = open(folder / "key.env", "rb") if trap == "open file" else None  # noqa: SIM115
    _write_key(folder, Prepared(KeyPair("AK1", "planted"), "task"), 8080)
    found = (folder / "key.env").lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert "planted" in (folder / "key.env").read_text()
    if held is not None:
        with held:
            assert held.read() == b"old"
    elif trap == "link":
        assert victim.read_text() == "precious"
    else:
        assert not victim.exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_quickstart_wants_a_folder_of_its_own(tmp_path: Path, mode: int) -> None:
    """Who may write into it could have the key written elsewhere."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    done = CliRunner().invoke(app, ["quickstart", str(folder)])
    assert done.exit_code == 2
    assert f"{folder}: other users may write into it" in " ".join(done.output.split())
    assert os.listdir(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else")
def test_quickstart_takes_no_folder_of_somebody_else(tmp_path: Path) -> None:
    """Its owner may do as if it were open."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    os.chown(folder, 12345, 12345)
    done = CliRunner().invoke(app, ["quickstart", str(folder)])
    assert done.exit_code == 2
    assert "belongs to another user" in " ".join(done.output.split())


@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_that_waits_for_a_backup_does_not_get_it(tmp_path: Path, trap: str) -> None:
    """Its name while it is written could be told before."""
    victim = tmp_path / "victim"
    lay(trap, tmp_path / "saved.part", victim)
    with _new_file(tmp_path / "saved") as lines:
        lines.write("planted")
        (being_written,) = set(tmp_path.iterdir()) - {victim, tmp_path / "saved.part"}
        assert stat.S_IMODE(being_written.stat().st_mode) == 0o600
    found = (tmp_path / "saved").lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert victim.exists() == (trap == "link")
    if trap == "link":
        assert victim.read_text() == "precious"
    assert (tmp_path / "saved.part").is_symlink() == (trap != "open file")
    if trap == "open file":
        assert (tmp_path / "saved.part").read_text() == "old"


def test_a_backup_replaces_nothing_that_came_meanwhile(tmp_path: Path) -> None:
    """Also no link that leads nowhere."""
    being_made = _new_file(tmp_path / "saved")
    being_made.__enter__().write("planted")
    (tmp_path / "saved").write_text("theirs")
    with pytest.raises(ValueError, match="exists already"):
        being_made.__exit__(None, None, None)
    assert os.listdir(tmp_path) == ["saved"]
    assert (tmp_path / "saved").read_text() == "theirs"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="exists already"), _new_file(tmp_path / "link"):
        pass
