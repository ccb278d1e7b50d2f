"""The web server that feeds ffmpeg a film, and other users of the machine, who can connect to it."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.net.unauthenticated import MAX_UNAUTHENTICATED
from streamferry.prepare import feeder
from streamferry.prepare.feeder import Feeder
from streamferry.prepare.parts import Parts
from streamferry.prepare.playlist import Film, FilmSegment, Part
from streamferry.prepare.route import Route


@pytest.fixture
def film(tmp_path: Path, clips: ClipFactory) -> Iterator[Feeder]:
    """One of a single segment."""
    clip = clips("two_seconds", ".ts")
    url = MediaUrl.parse(str(clip))
    parts = Parts(url, Folders.of([clip.parent]), Route())
    segment = FilmSegment(Part(url), 2.0, None, is_break=False)
    film = Feeder(url, Film(((segment,),)), parts, on_end=lambda: None)
    yield film
    film.close()


def _ask(film: Feeder, address: str) -> bytes:
    """All that is answered, which comes before a stranger's time is up."""
    with socket.create_connection(("127.0.0.1", film.port), timeout=feeder._HEAD_SECONDS / 2) as one:
        one.sendall(f"GET {address.partition(str(film.port))[2]} HTTP/1.1\r\n\r\n".encode())
        return b"".join(iter(lambda: one.recv(1 << 20), b""))


def _silent(_: Feeder) -> bytes:
    return b""


def _half(_: Feeder) -> bytes:
    return b"GET /"


def _guess(film: Feeder) -> bytes:
    return f"GET /{'x' * 43}/0.m3u8 HTTP/1.1\r\n".encode()


@pytest.mark.parametrize("words", [_silent, _half, _guess])
def test_strangers_take_no_place_from_ffmpeg(film: Feeder, words: Callable[[Feeder], bytes]) -> None:
    """However many they are, and whatever they have said so far, the film plays."""
    (playlist,) = re.findall(r"http://\S+", film.master)
    with ExitStack() as strangers:
        for _ in range(2 * feeder._MAX_CONNECTIONS + 70):
            one = strangers.enter_context(socket.create_connection(("127.0.0.1", film.port), timeout=5))
            with suppress(ConnectionError):  # It had to go.
                one.sendall(words(film))
        answer = _ask(film, playlist)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        (segment,) = re.findall(rb"^(/.+)$", answer.partition(b"\r\n\r\n")[2], re.M)
        assert _ask(film, f"{film.port}{segment.decode()}").partition(b"\r\n\r\n")[2][:1] == b"\x47"
        film_threads = [one for one in threading.enumerate() if one.name == "film part"]
        assert len(film_threads) <= MAX_UNAUTHENTICATED + feeder._MAX_CONNECTIONS


def test_a_request_that_drips_ends(film: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole of it, not for each byte."""
    monkeypatch.setattr(feeder, "_HEAD_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", film.port), timeout=0.1) as one:
        for _ in range(100):
            try:
                one.sendall(b"x")
                if one.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("it may go on as long as it likes")
