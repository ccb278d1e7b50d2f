"""Child processes: pipes, last words, ends. The children are real; none survives the test that started it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.programs import command_line
from kit.waiting import wait_for
from streamferry.net import child as module
from streamferry.net.child import Child, ChildError, end_all
from streamferry.net.sandbox import Sandbox

SH = "/bin/sh"
#: The programs that the scripts become.
PROGRAMS = Sandbox(runs=("/bin", "/usr/bin"))

started: list[Child] = []


@pytest.fixture(autouse=True)
async def _no_survivors() -> AsyncIterator[None]:
    yield
    for child in started:
        child.close()
    started.clear()
    await end_all()


def start(script: str, **options: object) -> Child:
    options = {"redact": str, "sandbox": PROGRAMS} | options
    started.append(Child([SH, "-c", script], **options))  # type: ignore[arg-type]
    return started[-1]


async def received(child: Child) -> bytes:
    """All of its output."""
    buffer, found = memoryview(bytearray(65536)), b""
    async with asyncio.timeout(30):
        while (count := child.receive_into(buffer)) != 0:
            found += bytes(buffer[: count or 0])
            if count is None:
                await asyncio.sleep(0.001)
    return found


def zombies() -> list[int]:
    """Children of this process that have ended and were not reaped."""
    found = []
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in path.read_text().split():
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                found.append(int(pid))
    return found


async def test_what_it_writes_is_received_to_the_end() -> None:
    """Output comes as written; 0 comes after it, when the exit status is known."""
    child = start("printf hello; exit 3")
    assert await child.wait_output()
    assert await received(child) == b"hello"
    assert child.ended.result() == 3


async def test_nothing_there_now() -> None:
    """A child that runs and is silent gives None, not the end."""
    child = start("exec sleep 60")
    assert child.receive_into(memoryview(bytearray(10))) is None


async def test_ends_without_output() -> None:
    """Waiting for output ends with False when the child has none."""
    child = start("echo sorry >&2; exit 7")
    async with asyncio.timeout(30):
        assert not await child.wait_output()
    assert (child.ended.result(), list(child.last_words)) == (7, ["sorry"])


async def test_its_standard_input_is_a_pipe() -> None:
    """What is sent arrives; what was not read yet is counted; the end of the input is seen."""
    child = start("exec cat", takes_stdin=True)
    assert child.send([b"one ", memoryview(b"two")]) == 7
    child.finish_sending()
    assert await received(child) == b"one two"


async def test_a_full_pipe_takes_no_more() -> None:
    """Sending never waits: past the pipe's room 0 bytes are taken, and the unread ones are counted."""
    child = start("exec sleep 60", takes_stdin=True)
    pieces = [bytes(1000)] * 3000
    taken = child.send(pieces)
    assert 0 < taken < 3_000_000
    assert child.send([bytes(70_000)]) == 0
    assert child.unread_bytes() == taken


async def test_sending_to_one_that_has_left() -> None:
    """A child that no longer reads is an OSError."""
    child = start("exec true", takes_stdin=True)
    await asyncio.wait((child.ended,))
    with pytest.raises(OSError, match="pipe"):
        child.send([b"x"])


async def test_the_brief_is_its_standard_input_and_not_in_its_arguments() -> None:
    """What the child must know and nobody else may arrives, and no argument holds it."""
    child = start("read line; echo $line; exec sleep 60", stdin_data=b"streamid=s3cret\n")
    assert await child.wait_output()
    buffer = memoryview(bytearray(100))
    assert bytes(buffer[: child.receive_into(buffer)]) == b"streamid=s3cret\n"
    # They are empty for a moment while one program takes the other's place.
    arguments = wait_for("its arguments", lambda: command_line(child.pid))
    assert "sleep" in arguments
    assert "s3cret" not in arguments


async def test_last_words_are_bounded_and_redacted() -> None:
    """Of endless words the last are kept, each of bounded length, with the secret taken out before it is kept."""
    child = start(
        "exec >&2; i=0; while [ $i -lt 500 ]; do echo line $i key=s3cret; i=$((i+1)); done; exec printf %09999d 0",
        redact=lambda words: words.replace("s3cret", "***"),
    )
    await asyncio.wait((child.ended,))
    assert len(child.last_words) <= 40
    assert child.last_words[-2] == "line 499 key=***"
    assert max(map(len, child.last_words)) <= 300


async def test_lines_are_told_before_the_output_that_follows_them() -> None:
    """Who waited for output has been told the lines that were written before it."""
    lines: list[str] = []
    child = start("echo one >&2; printf x; exec sleep 60", on_line=lines.append)
    assert await child.wait_output()
    assert lines == ["one"]


async def test_one_that_ignores_sigterm_is_killed() -> None:
    """SIGTERM first, SIGKILL after the deadline."""
    child = start("trap '' TERM; printf x; exec sleep 60")
    await child.wait_output()
    began = time.monotonic()
    await child.aclose()
    assert child.ended.result() == -signal.SIGKILL
    assert time.monotonic() - began >= module.TERM_S - 0.1


async def test_it_has_no_children() -> None:
    """So that none can be left behind: another process is refused."""
    child = start("sleep 60 & wait")
    await asyncio.wait((child.ended,))
    assert child.ended.result() == 2
    assert "fork" in child.last_words[-1]


def _state(pid: int) -> str:
    """The state letter of a process; of one that is gone Z."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_no_zombie_after_many_failures() -> None:
    """Children that fail at once are all reaped, though nobody asks them for anything."""
    before = zombies()
    children = [start("exit 1") for _ in range(20)]
    async with asyncio.timeout(30):
        for child in children:
            await asyncio.wait((child.ended,))
    assert set(zombies()) <= set(before)


async def test_a_program_that_does_not_exist() -> None:
    """It is said at once, in words."""
    with pytest.raises(ChildError, match="cannot be started: No such file"):
        Child(["/nonexistent/program"], redact=str)


async def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a process cannot be started is an error of this machine."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ChildError):
        start("true")


_PARENT = """
import asyncio, os, sys
from streamferry.net.child import Child
async def main():
    child = Child(["/bin/sleep", "60"], redact=str)
    while b"sleep" not in open(f"/proc/{child.pid}/cmdline", "rb").read()[:20]:
        await asyncio.sleep(0.001)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_it_dies_with_its_parent() -> None:
    """kill -9 of the parent ends the child."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_for("the child to die with its parent", lambda: _state(pid) == "Z")


async def test_starts_fast() -> None:
    """A child's first output is there well under a second after its start; a busy machine shows it now and then."""
    took_s = 1.0
    async with asyncio.timeout(60):
        while took_s >= 1:
            began = time.monotonic()
            child = start("printf x")
            await child.wait_output()
            took_s = time.monotonic() - began
