"""Forked processes that share the tests of a run: nothing of what pytest tells is lost on the way."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from kit.processes import IdleTime

_TESTS = Path(__file__).parents[1]
_CONFTEST = """
import pytest
from kit.processes import SharedRun

def pytest_configure(config):
    config.pluginmanager.register(SharedRun(2))

@pytest.fixture(scope="session", autouse=True)
def ended(tmp_path_factory):
    yield
    (tmp_path_factory.getbasetemp() / "ended").touch()
"""
_GOOD = """
import os, warnings, pytest

@pytest.fixture(scope="module")
def once(tmp_path_factory):
    yield os.getpid()

@pytest.mark.parametrize("number", range(20))
def test_good(number, once):
    assert once == os.getpid()

def test_warns():
    warnings.warn("of old")

def test_skips():
    pytest.skip("no such thing")
"""
_BAD = """
import os, signal

def test_fails():
    print("some words")
    assert [1, 2] == [1, 3]

def test_ends():
    os.kill(os.getpid(), signal.SIGKILL)

def test_after_the_end():
    pass

def test_of_the_same_number():
    assert 0
"""

_ENDS_AFTER_A_WARNING = """
import os, signal, warnings, pytest

@pytest.mark.parametrize("number", range(3))
def test_warns(number):
    warnings.warn(f"warning {number}")

@pytest.mark.parametrize("number", range(3))
def test_ends(number):
    os.kill(os.getpid(), signal.SIGKILL)
"""


_PYTEST_FAILS = """
import pytest
from kit.processes import SharedRun

def pytest_configure(config):
    config.pluginmanager.register(SharedRun(2))

def pytest_runtest_makereport(item, call):
    if item.name == "test_fails" and call.when == "call":
        raise SystemError("it cannot tell of that")
"""

# No test ends before three processes were in one.
_WAITS = """
import os, time

def test_waits(tmp_path_factory):
    met = tmp_path_factory.getbasetemp().parent / "met"
    met.mkdir(exist_ok=True)
    (met / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(met.iterdir())) < 3:
        assert time.monotonic() < until, "nobody else came"
        time.sleep(0.05)
"""
_IDLE = (
    _CONFTEST
    + """
from kit import processes
processes._LOOK_S = 0.1
processes.IdleTime.share = lambda self: 0.9
"""
)


def run(folder: Path, *words: str, **modules: str) -> "subprocess.CompletedProcess[str]":
    """What pytest says of modules that two processes share."""
    for name, text in {"conftest": _CONFTEST, **modules}.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", f"--rootdir={folder}", *words, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """Where processes leave a file, in a folder of each, when what belongs to their session was ended."""
    return tmp_path / "temporary"


def test_all_that_happens_is_told(tmp_path: Path, ended: Path) -> None:
    """Passed, failed with what was printed, skipped, warned, and a process that ended in the midst of a test."""
    folder = tmp_path / "tree"
    folder.mkdir()
    report = tmp_path / "report.xml"
    words = (f"--basetemp={ended}", f"--junitxml={report}", "-rs")
    done = run(folder, *words, test_good=_GOOD, test_bad=_BAD)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "3 failed, 22 passed, 1 skipped, 1 warning" in done.stdout
    for words_of_it in ("some words", "assert [1, 2] == [1, 3]", "of old", "no such thing", "has ended with -9"):
        assert words_of_it in done.stdout
    cases = [case.attrib["name"] for case in ElementTree.parse(report).iter("testcase")]
    assert len(cases) == len(set(cases)) == 26
    # The one that was killed ended nothing.
    assert len(list(ended.glob("*/ended"))) == len(list(ended.glob("p*"))) - 1


def test_a_warning_is_told_once_though_a_process_takes_the_place_of_another(tmp_path: Path, ended: Path) -> None:
    """Each that ends is followed by a process that is told of the warnings before it."""
    done = run(tmp_path, f"--basetemp={ended}", test_warns=_ENDS_AFTER_A_WARNING)
    assert "3 failed, 3 passed, 3 warnings" in done.stdout


def test_what_pytest_itself_fails_at_is_one_failed_test(tmp_path: Path) -> None:
    """Its end in one process was the end of the run, and nobody was told what else had failed."""
    done = run(tmp_path, test_bad=_BAD, test_good=_GOOD, conftest=_PYTEST_FAILS)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "3 failed, 22 passed, 1 skipped, 1 warning" in done.stdout
    assert "it cannot tell of that" in done.stdout


def test_while_the_machine_has_time_there_is_a_process_more(tmp_path: Path) -> None:
    """Tests that wait for three processes, where two were asked for; each of these has its next test already."""
    modules = {f"test_{name}": _WAITS for name in "abcde"}
    done = run(tmp_path, f"--basetemp={tmp_path / 'temporary'}", conftest=_IDLE, **modules)
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_idle_time_is_what_nobody_used(tmp_path: Path) -> None:
    """Of all processors, since the last look; where the kernel does not tell, none."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 0 50 0 0 0 0 7 7\ncpu0 1 1 1 1\n")
    idle = IdleTime(stat)
    stat.write_text("cpu  110 5 5 70 5 3 1 1 7 7\n")
    assert idle.share() == 0.5
    assert idle.share() == 0.0
    assert IdleTime(tmp_path / "none").share() == 0.0


def test_a_run_stops_where_it_is_told_to(tmp_path: Path, ended: Path) -> None:
    """After the first failure; what belongs to sessions is ended all the same."""
    done = run(tmp_path, f"--basetemp={ended}", "-x", test_bad=_BAD, test_good=_GOOD)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "stopping after 1 failures" in done.stdout
    assert list(ended.glob("*/ended"))


def test_what_cannot_be_found_ends_a_run(tmp_path: Path) -> None:
    """As without processes."""
    done = run(tmp_path, test_bad="import nothing_of_this_name", test_good=_GOOD)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "nothing_of_this_name" in done.stdout
