"""Nothing ends in a traceback: not what users do, not what the system does, not a mistake of ours."""

import os
import subprocess
import sys

import pytest

from kit.commands import run
from streamferry.cli.exit_status import ExitStatus
from streamferry.cli.guard import INTERRUPTED, explain


def failing(error: BaseException) -> tuple[str, int]:
    try:
        raise error
    except BaseException as caught:
        return explain(caught)


def test_errors_name_their_object() -> None:
    """A file that is not there is named; the first of a group speaks for it."""
    words, status = failing(FileNotFoundError(2, "No such file or directory", "/srv/x"))
    assert (words, status) == ("/srv/x: No such file or directory", ExitStatus.USAGE)
    inner = ExceptionGroup("unhandled errors in a TaskGroup", [PermissionError(13, "Permission denied", "/root/y")])
    assert failing(ExceptionGroup("outer", [inner]))[0] == "/root/y: Permission denied"


def test_a_mistake_of_ours_tells_no_values() -> None:
    """They could be secrets; where it was is told, so that it can be reported."""
    words, status = failing(KeyError("planted-secret"))
    assert "planted" not in words
    assert "KeyError at test_guard.py:" in words
    assert status == ExitStatus.SERVICE


def test_a_missing_database_driver_was_a_traceback() -> None:
    """It names what has to be installed."""
    error = ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg")
    assert failing(error) == (
        "store: PostgreSQL needs the extra: pip install 'streamferry[postgresql]'",
        ExitStatus.USAGE,
    )


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_no_reason_to_fail(name: str) -> None:
    """As daemons and careless scripts start programs."""
    number = ("stdin", "stdout", "stderr").index(name)
    done = run("version", preexec_fn=lambda: os.close(number))
    assert done.returncode == 0
    assert "Traceback" not in done.stderr + done.stdout
    assert name == "stdout" or done.stdout.startswith("streamferry ")


def test_a_full_disk_under_the_output_is_told() -> None:
    """Not at the interpreter's end, as "Exception ignored in ..."."""
    with open("/dev/full", "w") as full:
        done = run("version", stdout=full)
    assert (done.stderr, done.returncode) == (
        "streamferry: standard output cannot be written: No space left on device\n",
        ExitStatus.SERVICE,
    )


def test_a_reader_that_has_left_is_no_error() -> None:
    """``streamferry ... | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run("version", stdout=writing)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode != 0


def guarded(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that is this line of Python."""
    words = f"import os; from streamferry.cli.guard import guarded; guarded(lambda: {script})"
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=False)


def test_a_terminal_that_knows_no_chinese_shows_escapes() -> None:
    """Instead of ending the command."""
    done = guarded("print('周末')", PYTHONIOENCODING="ascii")
    assert (done.stdout, done.stderr, done.returncode) == ("\\u5468\\u672b\n", "", 0)


def test_ctrl_c_says_nothing_more() -> None:
    """The status is the one that shells know."""
    done = guarded("os.kill(os.getpid(), 2)")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", INTERRUPTED)
