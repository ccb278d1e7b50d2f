"""Somebody with a key that may write, and a service whose own seal key he wants: by the library, folders and looks."""

import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from kit import hls, smuggling
from kit.clips import ClipFactory
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from kit.waiting import wait_for


@pytest.fixture
def service(shared_service: ServiceProgram) -> ServiceProgram:
    """Its folder ``films`` is beside its own."""
    return shared_service


@pytest.fixture
def client(service: ServiceProgram) -> Iterator[httpx.Client]:
    pair = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    with httpx.Client(base_url=f"{service.url}api/v1", trust_env=False, timeout=60) as client:
        token = client.post("/tokens", json=pair).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


def run(client: httpx.Client, source: str, destination: str) -> dict[str, object]:
    """The run of a task on a source, as it is when it has come to its end."""
    now = datetime.now(UTC)
    window = {"start_at": now.isoformat(), "end_at": (now + timedelta(minutes=10)).isoformat()}
    body = {"kind": "vod", "sources": [{"url": source}], "destination": destination, **window}
    made = client.post("/tasks", json=body)
    assert made.status_code == 201, made.text

    def ended() -> dict[str, object] | None:
        ran: dict[str, object] | None = client.get(f"/tasks/{made.json()['task_id']}").json()["run"]
        return ran if ran and ran["state"] in ("failed", "ended") else None

    return wait_for("the end of the task", ended)


@pytest.mark.parametrize("place", ["library", "files"])
@pytest.mark.parametrize("smuggle", [smuggling.by_flv, smuggling.by_adts], ids=["flv", "adts"])
def test_the_seal_key_stays_where_it_is(
    service: ServiceProgram,
    client: httpx.Client,
    films: Path,
    clips: ClipFactory,
    tmp_path: Path,
    place: str,
    smuggle: smuggling.Smuggle,
) -> None:
    """A playlist that names it is refused by a look, and its task fails at once, for good, with the setting's name."""
    key = service.data / "seal.key"
    secret = key.read_bytes()
    folder = service.data / "library" if place == "library" else films
    playlist = smuggle(tmp_path, clips("flash_beep"), secret, f"file://{key}")
    for path in tmp_path.iterdir():
        if place == "library":
            assert client.put(f"/library/{path.name}", content=path.read_bytes()).status_code == 201
        else:
            shutil.copy(path, films)
    source = f"file://{folder / playlist.name}"
    look = client.post("/probe", json={"url": source})
    assert look.status_code == 422
    assert "setting files" in look.text
    with socket.create_server(("127.0.0.1", 0)) as destination:
        destination.setblocking(False)
        ran = run(client, source, f"rtmp://127.0.0.1:{destination.getsockname()[1]}/live/stream")
        with pytest.raises(BlockingIOError):
            destination.accept()
    assert ran["state"] == "failed"
    assert "setting files" in str(ran["reason"])
    for path in (service.data.parent / "cache").rglob("*"):
        assert not path.is_file() or secret[:16] not in path.read_bytes()


def test_an_ordinary_playlist_of_the_library_can_be_looked_at(
    service: ServiceProgram, client: httpx.Client, clips: ClipFactory, tmp_path: Path
) -> None:
    """What is uploaded together is played together, and may name what lies in the folders of files."""
    playlist = hls.cut(clips("flash_beep"), tmp_path / "film", segment="whole%d.ts")
    for path in playlist.parent.iterdir():
        assert client.put(f"/library/{path.name}", content=path.read_bytes()).status_code == 201
    found = client.post("/probe", json={"url": f"file://{service.data}/library/{playlist.name}"})
    assert found.status_code == 200, found.text
    assert found.json()["container"] == "hls"
