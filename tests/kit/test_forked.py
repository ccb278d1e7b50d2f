"""A fork is what the program would be that was started: see kit/forked.py."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.forked import Forks
from kit.programs import command_line, descendants
from kit.waiting import PATIENCE_S, wait_for


@pytest.fixture
def forks() -> Iterator[Forks]:
    with contextlib.closing(Forks("streamferry.cli", program="/usr/bin/streamferry")) as one:
        yield one


def test_a_fork_has_words_streams_folder_and_end_of_its_own(forks: Forks, tmp_path: Path) -> None:
    """Also two at once, and one that is ended by a signal."""
    done = forks.run(["--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("streamferry ")
    done = forks.run(["no-such"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such" in done.stderr
    (tmp_path / "film.mp4").touch()
    with (tmp_path / "output").open("w+") as output:
        streams = [output.fileno()] * 3
        variables = {**os.environ, "STREAMFERRY_CACHE_DIR": "here"}
        waiting = forks.start(["receive", "--port", "0"], streams, environment=variables)
        empty = forks.start(["cache", "list", "--json"], streams, environment=variables, cwd=tmp_path)
        assert empty.wait(PATIENCE_S) == 0
        assert waiting.poll() is None
        waiting.kill()
        assert waiting.wait(PATIENCE_S) == -signal.SIGKILL
        waiting.send_signal(signal.SIGTERM)


def test_forks_end_with_the_process_they_come_from(forks: Forks) -> None:
    """As all programs of the tests do."""
    with open(os.devnull, "r+") as nothing:
        running = forks.start(["receive", "--port", "0"], [nothing.fileno()] * 3, environment=os.environ)
    assert command_line(running.pid)
    forks.close()
    assert running.wait(PATIENCE_S) == -signal.SIGKILL
    wait_for("its end", lambda: not command_line(running.pid))


def test_what_has_ended_is_no_descendant_though_nobody_has_waited_for_it() -> None:
    """The kernel may give a process what its children leave, of which it does not know."""
    with subprocess.Popen(["true"], stdout=subprocess.DEVNULL) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert ended.pid not in descendants(os.getpid())
