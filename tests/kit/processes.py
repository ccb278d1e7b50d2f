"""The processes that share the tests of a run, forked from the one that has found them.

Imports and the search for tests are done once, by a process that runs none of them. It hands out parts
(``kit.balance``), and tells pytest what the others report, as if it had run the tests itself. A process asks for its
next part as it begins the last test of the one before, for pytest has to know which test follows: what both use stays.

Most tests of servers wait. While much of the machine has nothing to do, there are more processes than were asked for;
once all of it works, none of these gets another part.

One that ends in the midst of a test has failed it, and another one takes what is left of its part.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import create_terminal_writer

from kit import programs
from kit.balance import SERVERS, Parts

_DIRECTORY = pytest.StashKey[Path]()
_PR_SET_PDEATHSIG = 1
#: How often is looked whether the machine has something to do, and which share of its time makes a process more, or one
#: less.
_LOOK_S = 10.0
_MUCH, _LITTLE = 0.2, 0.05


class IdleTime:
    """How much of the machine's time nobody used: Linux tells it for all its processors together."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._before = self._read()

    def share(self) -> float:
        """Since the last call, or since this was made. 0: none, or it is not known."""
        (idle, total), (idle_before, total_before) = now, before = self._read(), self._before
        self._before = now
        return (idle - idle_before) / (total - total_before) if now != before else 0.0

    def _read(self) -> tuple[int, int]:
        """What had nothing to do or waited for a disk; and all."""
        try:
            user, nice, system, idle, waits, *others = map(int, self._stat.read_text().split("\n", 1)[0].split()[1:9])
        except OSError:
            return 0, 0
        return idle + waits, sum((user, nice, system, idle, waits, *others))


def directory_of_run(config: pytest.Config, base: Path) -> Path:
    """The folder of temporary files that all processes of a run know. ``base``: that of this process."""
    return config.stash.get(_DIRECTORY, base)


class SharedRun:
    """A plugin of pytest that has ``count`` processes run the tests."""

    def __init__(self, count: int) -> None:
        self._count = count

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run all of them, unless the search has failed, or was all that was asked for."""
        option = session.config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return None
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        session.config.stash[_DIRECTORY] = factory.getbasetemp()
        if any(item.nodeid.startswith(SERVERS) for item in session.items):
            programs.start_forks()
        run = _Run(session)
        try:
            run.serve(self._count)
        finally:
            run.close()
            programs.close_forks()
        return True


@dataclass
class _Process:
    """What the process that hands out knows of one. ``left``: indices of tests that it has and has not ended."""

    pid: int
    connection: Connection
    left: list[int] = field(default_factory=list)
    is_in_test: bool = False
    #: It gets no more parts.
    ends: bool = False


class _Run:
    """The process that hands out."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._items = session.items
        self._parts = Parts([item.nodeid for item in session.items])
        self._processes: list[_Process] = []
        self._count = 0
        self._asked_for = 0
        self._idle = IdleTime()
        self._idle_share = 0.0
        self._look_at = time.monotonic() + _LOOK_S

    def start(self, left: list[int] | None = None) -> None:
        """Fork one, if there is something to do. ``left``: its first tests, instead of a part."""
        first = left or self._parts.take()
        if not first:
            return
        self._count += 1
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            # Of an end that another process has open nobody is told that it is closed.
            for one in (ours, *(process.connection for process in self._processes)):
                one.close()
            _be_process(self._session, f"p{self._count}", theirs, first)
        theirs.close()
        self._processes.append(_Process(pid, ours, first))

    def serve(self, count: int) -> None:
        """Until all is done, by ``count`` processes or more. Raises as pytest does where a run is to stop early."""
        hook = self._session.config.hook
        self._asked_for = count
        for _ in range(count):
            self.start()
        while self._processes:
            ready = wait([process.connection for process in self._processes], _LOOK_S)
            self._look()
            for process in [process for process in self._processes if process.connection in ready]:
                try:
                    what, told = process.connection.recv()
                except (EOFError, ConnectionError):
                    self._ended(process)
                    continue
                match what:
                    case "next":
                        process.ends = self._is_one_too_many()
                        part = [] if process.ends else self._parts.take()
                        process.left += part
                        process.connection.send(part)
                    case "begins":
                        process.is_in_test = True
                    case "report":
                        report = hook.pytest_report_from_serializable(config=self._session.config, data=told)
                        hook.pytest_runtest_logreport(report=report)
                    case "ends":
                        process.is_in_test = False
                        item = self._items[process.left.pop(0)]
                        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
                    case "warning":
                        hook.pytest_warning_recorded.call_historic(kwargs=told)
                    case "fault" if process.is_in_test:
                        self._ended(process, f"pytest itself failed in the process of this test:\n{told}")
                    case "fault":
                        raise RuntimeError(f"a process of the tests has failed:\n{told}")
            if self._session.shouldfail:
                raise self._session.Failed(self._session.shouldfail)
            if self._session.shouldstop:
                raise self._session.Interrupted(self._session.shouldstop)

    def _look(self) -> None:
        """Now and then: another process, if there is time for it."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_S
        self._idle_share = self._idle.share()
        if self._idle_share > _MUCH and self._count_staying() < self._asked_for + self._asked_for // 2:
            self.start()

    def _is_one_too_many(self) -> bool:
        return self._idle_share < _LITTLE and self._count_staying() > self._asked_for

    def _count_staying(self) -> int:
        return sum(not process.ends for process in self._processes)

    def close(self) -> None:
        """Let each end: it ends its test, and what it has started."""
        for process in self._processes:
            process.connection.close()
        for process in self._processes:
            os.waitpid(process.pid, 0)

    def _ended(self, process: _Process, reason: str = "") -> None:
        self._processes.remove(process)
        process.connection.close()
        _, status = os.waitpid(process.pid, 0)
        if process.is_in_test:
            item = self._items[process.left.pop(0)]
            reason = reason or f"the process of this test has ended with {os.waitstatus_to_exitcode(status)}"
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", reason, "call")
            self._session.config.hook.pytest_runtest_logreport(report=report)
            self._session.config.hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if process.left:
            self.start(process.left)


class _Reports:
    """A plugin of pytest in the processes that test, registered as it is made: it sends on what happens from now."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config = config
        self._connection = connection
        # pytest tells a new plugin of all warnings before it, which the one that hands out has told already: also of
        # those from other processes, where this one takes the place of one that has ended.
        self._is_told_of_old = True
        config.pluginmanager.register(self)
        self._is_told_of_old = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._connection.send(("report", data))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        if self._is_told_of_old:
            return
        # Not all warnings can be sent.
        message = warnings.WarningMessage(
            f"{warning_message.category.__name__}: {warning_message.message}",
            *(UserWarning, warning_message.filename, warning_message.lineno),
        )
        told = {"warning_message": message, "when": when, "nodeid": nodeid, "location": location}
        self._connection.send(("warning", told))


def _be_process(session: pytest.Session, name: str, connection: Connection, first: list[int]) -> None:
    """Be a process that tests, and end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    try:
        _have_own(session.config, name, connection)
        with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
            for index, item, following in _tests(session, connection, first):
                connection.send(("begins", index))
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                connection.send(("ends", index))
        # What is left where a run was stopped.
        session._setupstate.teardown_exact(None)
        session.config._ensure_unconfigure()
    except BaseException:
        with contextlib.suppress(OSError):
            connection.send(("fault", traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _have_own(config: pytest.Config, name: str, connection: Connection) -> None:
    """Share nothing with the other processes that one of them writes."""
    manager = config.pluginmanager
    _Reports(config, connection)
    # What one prints would stand twice.
    reporter: Any = manager.getplugin("terminalreporter")
    reporter._tw = create_terminal_writer(config, open(os.devnull, "w"))  # noqa: SIM115
    if capture := manager.getplugin("capturemanager"):
        capture.stop_global_capturing()
        capture.start_global_capturing()
        capture.suspend_global_capture()
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = config.stash[_DIRECTORY] / name
    factory._basetemp.mkdir(mode=0o700)


def _tests(
    session: pytest.Session, connection: Connection, first: list[int]
) -> Iterator[tuple[int, pytest.Item, pytest.Item | None]]:
    """Each with its index and the one that follows it, for as long as there are parts."""
    part = first
    while part:
        index = part.pop(0)
        if not part:
            connection.send(("next", None))
            part = connection.recv()
        yield index, session.items[index], session.items[part[0]] if part else None
