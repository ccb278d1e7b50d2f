"""Where settings come from, and that what is wrong with them is said without their values."""

import json
import os
from pathlib import Path

import pytest

from streamferry.config import SECRETS, forget_secrets, load_settings
from streamferry.media.errors import SourceForbidden
from streamferry.media.url import MediaUrl
from streamferry.net.s3 import Buckets
from streamferry.service.doubtful import doubts
from streamferry.service.worker_settings import WorkerSettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings of whoever runs the tests."""
    monkeypatch.setenv("STREAMFERRY_CONFIG", "")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file over the default; a flag that was not given does not count."""
    config = tmp_path / "streamferry.toml"
    config.write_text('host = "file"\nport = 1\ncapacity = 7\n')
    monkeypatch.setenv("STREAMFERRY_HOST", "environment")
    monkeypatch.setenv("STREAMFERRY_PORT", "2")
    settings = load_settings(config, port=3, host=None)
    assert (settings.host, settings.port, settings.capacity, settings.egress) == ("environment", 3, 7, "lan")


def test_lists_are_split_as_paths_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders at colons, names at commas; relative folders are made absolute."""
    monkeypatch.setenv("STREAMFERRY_FILES", "/media/a:b")
    monkeypatch.setenv("STREAMFERRY_PUBLIC_HOSTS", "one.example, two.example")
    settings = load_settings()
    assert settings.files == (Path("/media/a"), Path("b").absolute())
    assert settings.public_hosts == ("one.example", "two.example")


def test_what_a_worker_is_given_is_what_the_service_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings survive the way through a pipe; access keys do not take it."""
    given = load_settings(
        cache_dir=Path("/films"), ffmpeg="/opt/ffmpeg",
        store="postgresql://u:p@db/x", seal_key="planted-key", files=[Path("/a"), Path("/b")], egress="public",
        access_key_id="id", secret_access_key="secret", capacity=9,
    )  # fmt: skip
    read = WorkerSettings.load(json.loads(json.dumps(given.of_worker())))
    for name in WorkerSettings.__dataclass_fields__:
        expected, found = getattr(given, name), getattr(read, name)
        if name in ("store", "seal_key"):
            assert expected.get_secret_value() not in repr(read)
            expected, found = expected.get_secret_value(), found.get_secret_value()
        assert found == expected, name
    assert "secret" not in given.of_worker().values()


def test_an_empty_folder_of_the_cache_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the commands that read the variable themselves; it is not the folder one happens to be in."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/user")
    monkeypatch.setenv("STREAMFERRY_CACHE_DIR", "")
    assert load_settings().cache_dir == Path("/var/cache/user/streamferry")


@pytest.mark.parametrize("setting", ["egress", "port", "conflicts"])
def test_a_wrong_value_is_named_and_not_repeated(setting: str) -> None:
    """It could be a secret that was put in the wrong place."""
    with pytest.raises(ValueError, match=f"^{setting}: ") as refused:
        load_settings(**{setting: "planted-secret"})
    assert "planted-secret" not in str(refused.value)


@pytest.mark.parametrize(("text", "says"), [("nonsense = 1", "^nonsense: "), ("=", "^config: "), (None, "^config: ")])
def test_a_wrong_file_is_a_sentence(tmp_path: Path, text: str | None, says: str) -> None:
    """A name that is no setting, a file that is no TOML, a file that is not there."""
    config = tmp_path / "streamferry.toml"
    if text is not None:
        config.write_text(text)
    with pytest.raises(ValueError, match=says):
        load_settings(config)


def test_programs_that_are_started_inherit_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the settings took over is in the environment no more, and what was not given is not missed."""
    for name in SECRETS[1:]:
        monkeypatch.setenv(name, "planted-secret")
    forget_secrets()
    assert "planted-secret" not in os.environ.values()


def test_a_name_that_is_no_setting_is_told_with_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where it stands: it was "Extra inputs are not permitted"."""
    config = tmp_path / "streamferry.toml"
    config.write_text("prot = 9000\n")
    monkeypatch.setenv("STREAMFERRY_CONFIG", str(config))
    with pytest.raises(ValueError, match=r"^prot: ") as refused:
        load_settings()
    assert str(refused.value) == f"prot: is no setting; did you mean port? (in {config})"
    config.write_text("")
    monkeypatch.setenv("STREAMFERRY_PORT", "many")
    with pytest.raises(ValueError, match=r"^port: should be .* \(in the variable STREAMFERRY_PORT\)$"):
        load_settings()


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "not toml"])
def test_a_file_of_settings_is_named_when_it_cannot_be_used(tmp_path: Path, kind: str) -> None:
    """It was "config: No such file or directory", without the file."""
    config = tmp_path / "streamferry.toml"
    if kind == "folder":
        config.mkdir()
    elif kind != "missing":
        config.write_bytes(b"\xff\xfe" if kind == "binary" else b"= 3")
    with pytest.raises(ValueError, match=f"^config: {config} ") as refused:
        load_settings(config)
    assert "codec" not in str(refused.value)


def test_what_has_no_effect_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there, which may be mounted later; a variable that nobody reads."""
    monkeypatch.setenv("STREAMFERRY_PROT", "9000")
    monkeypatch.setenv("STREAMFERRY_URL", "http://127.0.0.1")
    (tmp_path / "file").touch()
    files = [tmp_path, tmp_path / "none", tmp_path / "file"]
    assert list(doubts(load_settings(data_dir=tmp_path, files=files))) == [
        f"files: {tmp_path}/none is not there: no task can play from it",
        f"files: {tmp_path}/file is no folder: no task can play from it",
        "STREAMFERRY_PROT is no setting; did you mean STREAMFERRY_PORT?",
    ]


@pytest.mark.parametrize(("mode", "is_told"), [(0o700, False), (0o750, False), (0o755, True), (0o701, True)])
def test_a_data_folder_that_is_open_to_others_is_told(tmp_path: Path, mode: int, is_told: bool) -> None:
    """What is in it is for its owner; a group is somebody's choice."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    words = f"data-dir: other users may look into {folder} (mode {mode:o}); chmod o-rwx it"
    assert list(doubts(load_settings(data_dir=folder))) == ([words] if is_told else [])


def test_tasks_may_read_from_the_bucket_of_the_library(tmp_path: Path) -> None:
    """On each machine that has the setting, and from no more of the bucket; a place that is none is refused."""
    settings = load_settings(data_dir=tmp_path, library="s3://films/up loads/", s3_buckets="archive")
    for buckets in (settings.buckets, Buckets.from_json(json.loads(settings.of_worker()["buckets"]))):
        buckets.check(MediaUrl.parse("s3://films/up loads/a.mp4"))
        with pytest.raises(SourceForbidden):
            buckets.check(MediaUrl.parse("s3://films/other/a.mp4"))
    for wrong in ("films", "s3://", "https://films/a", "s3://films/a//b", "s3://films/../a"):
        with pytest.raises(ValueError, match=r"^library: must be s3://BUCKET or s3://BUCKET/PREFIX$"):
            load_settings(data_dir=tmp_path, library=wrong)
