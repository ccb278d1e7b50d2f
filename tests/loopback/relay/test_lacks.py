"""What this machine lacks is told as the service's fault, in words that say what; and mended, it goes on."""

import errno
import os
import resource
import ssl
from contextlib import contextmanager, suppress

import pytest

from kit.programs import ffmpeg
from scripted.waiting import until
from streamferry.media.errors import DestinationUnreachable, Fault, MediaError, SourceError, SourceUnreachable, own_lack
from streamferry.media.url import MediaUrl
from streamferry.net.child import Child, ChildError
from streamferry.net.dial import Deadlines
from streamferry.net.folders import Folders
from streamferry.net.srt import _library
from streamferry.prepare.errors import from_wire, to_wire
from streamferry.push import open_session
from streamferry.source import SourceMemory, open_live

pytestmark = pytest.mark.usefixtures("quick")
OPTIONS = {"deadlines": Deadlines(), "tls": None, "allow": None}


@contextmanager
def no_files_left(spare=0):
    """Inside, no file can be opened but ``spare``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(spare + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1, hard))
    with suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    for _ in range(spare):
        os.close(held.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            os.close(one)


@pytest.mark.parametrize(
    "number",
    [
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM),
        *(errno.ENOSPC, errno.EDQUOT, errno.ENETUNREACH, errno.ENETDOWN),
    ],
)
def test_a_lack_is_known_through_all_that_was_made_of_it(number):
    """By whatever library wrapped it; the errors of both ends become the service's."""
    error = RuntimeError("wrapped")
    error.__cause__ = OSError(number, os.strerror(number))
    assert own_lack(error)
    for kind in (SourceUnreachable, DestinationUnreachable):
        assert kind("words").because_of(error).fault is Fault.SERVICE


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, "x") for number in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.EPIPE)),
        *(TimeoutError(), ssl.SSLError(1, "[SSL] bad"), ssl.SSLCertVerificationError(1, "self-signed"), OSError("x")),
    ],
)
def test_what_a_peer_does_is_not_this_machines_lack(error):
    """Errors of TLS have numbers of their own, some of which look like the system's."""
    assert own_lack(error) is None
    assert DestinationUnreachable("words").because_of(error).fault is Fault.USER_DESTINATION


async def test_what_ffmpeg_lacks_is_the_services_fault(monkeypatch, tmp_path):
    """It says so in words only."""
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho '[error] Connection to tcp://h failed: Network is unreachable' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("STREAMFERRY_FFMPEG", str(program))
    with pytest.raises(SourceError, match="Network is unreachable") as caught:
        await open_live(MediaUrl.parse("srt://127.0.0.1:9"), **OPTIONS, memory=SourceMemory())
    assert caught.value.fault is Fault.SERVICE


@pytest.mark.parametrize(
    ("end", "address"),
    [
        ("source", "rtmp://127.0.0.1:9/live/key"),
        ("source", "http://127.0.0.1:9/cam.flv"),
        ("source", "rtsp://127.0.0.1:9/cam"),
        ("source", "srt://127.0.0.1:9"),
        ("source", "udp://:0"),
        ("destination", "rtmp://127.0.0.1:9/live/key"),
        ("destination", "http://127.0.0.1:9/live.m3u8"),
        ("destination", "srt://127.0.0.1:9"),
    ],
)
async def test_no_files_left_is_the_services_fault(end, address, monkeypatch):
    """Whatever is opened, at either end."""
    monkeypatch.setenv("STREAMFERRY_FFMPEG", ffmpeg())
    if (end, address[:3]) == ("destination", "srt"):
        _library()
    url = MediaUrl.parse(address.replace(":0", ":5004"))
    opening = open_live(url, **OPTIONS, memory=SourceMemory()) if end == "source" else open_session(url, **OPTIONS)
    with no_files_left(), pytest.raises(MediaError) as caught:
        await opening
    assert caught.value.fault is Fault.SERVICE
    assert caught.value.retryable


@pytest.mark.parametrize("spare", range(8))
async def test_a_child_that_cannot_be_started_is_no_crash(spare):
    """Wherever on its way the last descriptor is used up: it is told in words, and no process is left."""
    with no_files_left(spare):
        try:
            child = Child(["/bin/true"], stdin_data=b"secret", redact=str)
        except ChildError as error:
            child, words = None, str(error)
    if child is None:
        assert "too many files open" in words
    else:
        await child.aclose()


def test_a_local_file_for_which_no_descriptor_is_left(tmp_path):
    """It is there, and may be read: only not now. One that may not be read is for who named it."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    folders = Folders.of((tmp_path,))
    with no_files_left(), pytest.raises(MediaError) as caught:
        folders.open(str(tmp_path / "a.mp4"), "a.mp4")
    assert caught.value.fault is Fault.SERVICE


def test_a_lack_of_a_preparation_crosses_to_the_relay():
    """As what it is: the name of a class does not tell."""
    lack = SourceUnreachable("no descriptors").because_of(OSError(errno.EMFILE, ""))
    assert from_wire(to_wire(lack)).fault is Fault.SERVICE
    assert from_wire(to_wire(SourceUnreachable("refused"))).fault is Fault.USER_SOURCE


async def test_a_relay_says_so_and_comes_back(relays, source, destination):
    """Retrying, by the service's fault, while no file can be opened; streaming when there is room again."""
    with no_files_left():
        running = relays.start(source, destination)
        await until("the words", lambda: running.has_told("retrying", "service", "too many files open"))
        assert not running.has_told("retrying", "user_source", "")
    await until("streaming", lambda: running.status.state == "streaming")
