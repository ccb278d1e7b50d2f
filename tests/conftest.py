"""Fixtures for all tests, and the rule that continuous integration may skip nothing."""

import ast
import asyncio
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kit import postgresql, programs
from kit.balance import shares_the_service, slow_modules
from kit.clips import ClipFactory
from kit.forked_children import Nursery, started
from kit.http_files import HttpFiles
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.processes import SharedRun, directory_of_run
from kit.service_program import ServiceProgram
from kit.shared_service import SharedService
from streamferry.relay import collector

# Programs under test start hundreds of times, and every process of the tests reads them all: compiled once is enough.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A machine that has much to do is slow, and no test of values is wrong for that.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_SHARED = pytest.StashKey[SharedService]()
_IS_CI = os.environ.get("CI", "").lower() in ("true", "1", "yes")


def pytest_addoption(parser: pytest.Parser) -> None:
    """For ``make test`` and ``make quick``."""
    parser.addoption("--processes", type=int, default=1, help="how many share the tests, see kit/processes.py")
    parser.addoption("--quick", action="store_true", help="leave out modules of which a test takes its time")


def pytest_configure(config: pytest.Config) -> None:
    """Have several processes, if they are asked for."""
    count: int = config.getoption("--processes")
    if count > 1:
        config.pluginmanager.register(SharedRun(count))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything under tests/e2e is marked e2e by its place. With --quick, what is slow is left out."""
    if config.getoption("--quick"):
        slow = slow_modules(item.nodeid for item in items)
        left_out = [item for item in items if item.nodeid.split("::", 1)[0] in slow]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    place = str(Path(__file__).parent / "e2e") + os.sep
    for item in items:
        if str(item.path).startswith(place):
            item.add_marker(pytest.mark.e2e)


# Trees that two threads make at once fail with a SystemError in Python 3.11 (python/cpython#106905): pytest reads the
# module of a test that has failed, and whoever writes a traceback its lines.
_parse, _parses = ast.parse, threading.RLock()


def _parse_alone(*words: Any, **named: Any) -> ast.AST:
    with _parses:
        return _parse(*words, **named)


ast.parse = _parse_alone


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Of what is imported and found nothing is garbage, neither now nor when a test asks for a collection."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With CI=true a skip is a failure: a suite that silently ran nothing must not be green."""
    report = yield
    if _IS_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true forbids. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if _IS_CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which CI=true forbids. {report.longrepr}"
    return report


class _NoCollections:
    """``gc`` for relay hosts under test, which collect all garbage of their process as they begin and end.

    A process of the tests has some 800,000 objects: that takes 0.8 s of CPU each time, and makes all later collections
    visit them too. tests/loopback/relay/test_garbage.py has the real one.
    """

    isenabled, enable, disable = gc.isenabled, gc.enable, gc.disable

    @staticmethod
    def _leave(generation: int = 2) -> None:
        """Do nothing."""

    collect = freeze = unfreeze = _leave

    @staticmethod
    def get_freeze_count() -> int:
        """Not counted either."""
        return 0


@pytest.fixture(scope="session", autouse=True)
def _no_collections_by_hosts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "gc", _NoCollections)
        yield


@pytest.fixture(scope="session", autouse=True)
def _forks() -> Iterator[None]:
    """Programs of ours are forks, also what relays of this process start. None of them is left at the end."""
    with contextlib.closing(Nursery()) as nursery:
        nursery.use()
        yield
    programs.close_forks()


@pytest.fixture(scope="session", autouse=True)
def _clusters(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> None:
    postgresql.keep_cluster(directory_of_run(pytestconfig, tmp_path_factory.getbasetemp()))


@pytest.fixture
def started_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations and probes are started, and no forks: for tests of what /proc shows and of the watcher of a loop."""
    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)


@pytest.fixture(autouse=True)
def _addresses_without_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of marks is one for a process: what a test's store brings is not for the next test."""
    monkeypatch.setattr("streamferry.media.redaction._key", None)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> ClipFactory:
    """``clips(name, container)``: see kit/clips.py."""
    run = directory_of_run(pytestconfig, tmp_path_factory.getbasetemp())
    return ClipFactory(tmp_path_factory.mktemp("clips"), run / "made-clips")


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxRtmp]:
    """A running nginx-rtmp of this test's own."""
    server = NginxRtmp(tmp_path / "nginx")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.PostgreSql]:
    """One server for all tests of the session; each takes a database of its own."""
    with postgresql.running() as server:
        yield server


@pytest.fixture(scope="session")
def _sharing(
    tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory, pytestconfig: pytest.Config
) -> Iterator[SharedService]:
    shared = pytestconfig.stash[_SHARED] = SharedService(tmp_path_factory.mktemp("shared"), clips.directory)
    yield shared
    shared.close()


@pytest.fixture
def shared_service(_sharing: SharedService) -> Iterator[ServiceProgram]:
    """A service that this test has for itself until it ends, and others had before: see kit/shared_service.py."""
    yield _sharing.running()
    _sharing.tidy()


@pytest.fixture
def films(_sharing: SharedService) -> Path:
    """A folder of which tasks of the shared service may play the files."""
    return _sharing.films


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Where the next test is of a module that does not use it, the shared service ends: it is not idle for nothing."""
    yield
    shared = item.config.stash.get(_SHARED, None)
    if shared is not None and (nextitem is None or not shares_the_service(nextitem.nodeid.split("::", 1)[0])):
        shared.close()


@pytest.fixture
def node_media_server(tmp_path: Path) -> Iterator[NodeMediaServer]:
    """A running node-media-server of this test's own."""
    server = NodeMediaServer(tmp_path / "node")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def http_files(clips: ClipFactory) -> Iterator[HttpFiles]:
    """A file server over the directory of the clips."""
    with HttpFiles(clips.directory) as files:
        yield files


@pytest.fixture
def publish(tmp_path: Path) -> Iterator[Callable[[Path, str], Publisher]]:
    """``publish(clip, url)`` sends a clip in real time in a loop until stopped, at the latest at the test's end."""
    publishers: list[Publisher] = []

    def start(clip: Path, url: str) -> Publisher:
        publishers.append(Publisher(clip, url, tmp_path / f"publisher-{len(publishers)}.log"))
        return publishers[-1]

    yield start
    for publisher in publishers:
        publisher.stop()
