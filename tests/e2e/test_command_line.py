"""What the command line promises: exit statuses, JSON lines, Ctrl-C, and that keys stay secret."""

import dataclasses
import itertools
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import programs
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import STREAMFERRY, Finished, Line, RelayProgram
from kit.waiting import START_S, free_ports, wait_for

StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]
STATES = {"waiting", "preparing", "connecting", "streaming", "stalled", "retrying", "stopped", "ended", "failed"}
NOWHERE = "rtmp://127.0.0.1:1/live/key"


def test_json_lines_have_the_documented_fields(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Every line has these keys and no other, counters never fall, and exactly the last one is final."""
    running = relay(clips("h264_bframes"), "--to", nginx.url("out"))
    assert running.finish() == 0
    # Those with a default are there only where there is something to say.
    names = [field.name for field in dataclasses.fields(Line) if field.default is dataclasses.MISSING]
    for raw in running.raw_lines:
        assert list(raw) == names
    lines = running.lines
    assert {line.state for line in lines} <= STATES
    assert [line.final for line in lines] == [False] * (len(lines) - 1) + [True]
    for earlier, later in itertools.pairwise(lines):
        for counter in ("media_time_ms", "bytes_out", "dropped_tags", "retries", "repairs"):
            assert getattr(later, counter) >= getattr(earlier, counter)
    assert lines[-1].bytes_out > clips("h264_bframes").stat().st_size * 0.9
    assert any(line.state == "streaming" and line.kbps_out > 0 for line in lines)
    assert running.errors == ""


def test_wrong_usage_is_status_2(relay: StartRelay) -> None:
    """The message on standard error names what is wrong, and nothing is tried; tests/unit/cli has all that can be."""
    running = relay("a.mp4", "--to", NOWHERE, "--loop", "0")
    assert running.finish() == 2
    assert "loop" in running.errors
    assert running.output == ""


@pytest.mark.parametrize("source", ["not_media", "missing", "404", "refused", "rtmp"])
def test_a_bad_source_is_status_3(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles, source: str
) -> None:
    """No media, no file, no page, no server, no stream: fault and reason are the source's; nothing is published."""
    address = {
        "not_media": clips("not_media"),
        "missing": clips.directory / "missing.mp4",
        "404": http_files.url("missing.mp4"),
        "refused": "http://127.0.0.1:1/a.mp4",
        "rtmp": "rtmp://127.0.0.1:1/live/cam",
    }[source]
    # A file that is not there is not waited for.
    patience = 60 if source == "missing" else 2
    done = relay_to_end(address, "--patience", patience, "--to", nginx.url("out", "rec"))
    assert done.status == 3, done.output
    final = done.lines[-1]
    assert (final.state, final.fault, final.final, final.bytes_out) == ("failed", "user_source", True, 0)
    assert final.reason
    assert nginx.recordings("out") == []


@pytest.mark.parametrize("destination", ["refused", "closed", "deaf"])
def test_a_bad_destination_is_status_4(
    relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, destination: str
) -> None:
    """Nobody listens, the server refuses the publish, nobody answers: fault and reason are the destination's."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = {
            "refused": f"rtmp://127.0.0.1:{free_ports(1)[0]}/live/key",
            "closed": nginx.url("key", "closed"),
            "deaf": f"rtmp://127.0.0.1:{deaf.getsockname()[1]}/live/key",
        }[destination]
        # Its patience would end with the source's fault where that is not ready in time.
        running = relay(clips("two_seconds"), "--loop", -1, "--patience", 0, "--to", url)
        line = running.wait_state("retrying")
        assert (line.fault, line.final) == ("user_destination", False)
        assert line.reason
        assert running.interrupt() == 4, running.output
    assert running.lines[-1].final


def test_ctrl_c_unpublishes_at_once_and_leaves_no_child(
    relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """The stream leaves the stat page, status 0, state stopped, and no child process remains."""
    source = clips("heavy")
    http_files.bytes_per_second = source.stat().st_size // 8
    running = relay(http_files.url(source), "--loop", -1, "--to", nginx.url("out"), is_started=True)
    running.wait_state("streaming")
    children = wait_for("the preparing child", lambda: programs.descendants(running.pid))
    nginx.wait_published("out")
    status = running.interrupt()
    nginx.wait_unpublished("out")
    assert status == 0
    assert (running.lines[-1].state, running.lines[-1].final) == ("stopped", True)
    wait_for("the children to go", lambda: not any(programs.command_line(child) for child in children))


def test_ctrl_c_during_the_look_ends_it(relay: StartRelay) -> None:
    """A server that takes the connection and never answers holds the look; Ctrl-C ends it with status 0."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        deaf.settimeout(20)
        running = relay(f"http://127.0.0.1:{deaf.getsockname()[1]}/live/cam.flv", "--to", NOWHERE)
        asked, _ = deaf.accept()
        with asked:
            assert running.interrupt() == 0
    assert running.output == ""


@pytest.mark.parametrize(("kind", "json"), [("fine", True), ("fine", False), ("refused", False), ("gone", True)])
def test_a_planted_key_is_nowhere(
    relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles, kind: str, json: bool
) -> None:
    """Stream key, source token and password show in no output, log or child's argv, whether it goes well or not."""
    key, token, password = (f"planted{secrets.token_hex(8)}" for _ in range(3))
    app = "closed" if kind == "refused" else "live"
    name = "missing.mp4" if kind == "gone" else clips("two_seconds").name
    source = http_files.url(f"{name}?token={token}").replace("http://", f"http://user:{password}@")
    http_files.bytes_per_second = clips("two_seconds").stat().st_size // 2
    seen: set[str] = set()
    running = relay(
        *(source, "--verbose", "--patience", 0 if kind == "fine" else 3),
        json=json,
        is_started=True,
        environment={"STREAMFERRY_TO": nginx.url(f"{key}?secret={token}", app)},
    )

    def look() -> bool:
        seen.update(map(programs.command_line, [running.pid, *programs.descendants(running.pid)]))
        return not running.is_running

    wait_for("the end", look, START_S, longest_pause_s=0.02)
    told = running.output + running.errors
    assert told
    child_lines = {line for line in seen if str(STREAMFERRY) not in line and line}
    if kind == "fine":
        assert child_lines, "no child was seen"
    for secret in (key, token, password):
        assert secret not in told
        assert not [line for line in child_lines if secret in line]


#: Starts a program for which landlock_create_ruleset(2) fails as in a kernel that has none (ENOSYS): seccomp(2).
_WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
steps = ((0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
libc, number = ctypes.CDLL(None), ctypes.c_ulong
assert libc.prctl(38, number(1), number(0), number(0), number(0)) == 0
assert libc.prctl(22, number(2), struct.pack("@HP", len(steps), ctypes.addressof(code)), number(0), number(0)) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["probe", "prepare", "relay"])
def test_a_kernel_without_landlock_is_told_once(command: str, clips: ClipFactory, tmp_path: Path) -> None:
    """On standard error, where ffmpeg is started: what each user should know of what the sandbox cannot do."""
    clip = clips("two_seconds")
    further = {"relay": ["--to", NOWHERE, "--patience", "1"], "prepare": [clips("aac_44100_mono")]}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_LANDLOCK, STREAMFERRY, command, clip, *further.get(command, [])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"STREAMFERRY_CACHE_DIR": str(tmp_path / "cache")},
    )
    # A relay has nowhere to go.
    assert done.returncode in ((3, 4) if command == "relay" else (0,)), done.stderr
    assert done.stderr.count("this kernel has no Landlock") == 1
    assert "Landlock" not in done.stdout
