"""Which process of a run tests what: the longest parts first, by how long they took before.

The seconds are kept in ``durations.json``, by module, and for long modules by test. ``python -m kit.balance REPORT``
writes it from the JUnit report of a run (``make durations``). A part that is not in it is taken for a long one,
so that it is never the last that all others wait for.

Tests of a module stay in one process, for they share servers or what the module has imported. A long module is handed
out test by test, unless fixtures of its own are made once a module. All modules of a folder that use the shared service
(kit/shared_service.py) are one part: it costs seconds of CPU to start and to end, and 3 s a minute while nothing is
asked of it. Those that open tabs of a browser are a part of their own, for the same reason.
"""

import functools
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

DURATIONS = Path(__file__).parents[1] / "durations.json"
ROOT = DURATIONS.parents[1]
#: A module that takes longer than this is handed out in parts: about what one process may be late by at the end.
LONG_SECONDS = 20.0
_UNKNOWN_SECONDS = 10.0
#: Where tests start services, servers and browsers.
SERVERS = ("tests/e2e/", "tests/contract/")
#: A module of which a test takes longer on the average is not for ``make quick``: four in five of the tests without
#: servers take a tenth of their time together.
SLOW_SECONDS = 0.2
#: Of a long module, the tests that take less are not listed.
_SHORT_SECONDS = 2.0


class Parts:
    """What is left of the tests of a run. Indices of a part are in the order of the run.

    Every second part has real servers, as long as there are some: if all processes started servers at once, those would
    be too slow for what tests assert of them.
    """

    def __init__(self, tests: Sequence[str], durations: dict[str, float] | None = None) -> None:
        self._seconds = read() if durations is None else durations
        self._tests = tests
        self._takes_servers = False
        self._left: dict[str, list[int]] = {}
        for index, test in enumerate(tests):
            self._left.setdefault(self._part_of(test), []).append(index)

    def take(self) -> list[int]:
        """The longest part, or nothing once there is none."""
        if not self._left:
            return []
        self._takes_servers = not self._takes_servers
        parts = [part for part in self._left if part.startswith(SERVERS) == self._takes_servers] or list(self._left)
        return self._left.pop(max(parts, key=self._seconds_of))

    def _part_of(self, test: str) -> str:
        module = _module_of(test)
        if shares_the_service(module):
            browser = " and a browser" if opens_tabs(module) else ""
            return f"{module.rpartition('/')[0]}/ with the shared service{browser}"
        is_long = self._seconds.get(module, 0.0) > LONG_SECONDS
        return test if is_long and not _has_module_fixtures(module) else module

    def _seconds_of(self, part: str) -> float:
        if part in self._seconds:
            return self._seconds[part]
        if _module_of(part) in self._seconds:
            return _SHORT_SECONDS
        modules = {_module_of(self._tests[index]) for index in self._left[part]}
        return sum(self._seconds.get(module, _UNKNOWN_SECONDS) for module in modules)


def _module_of(part: str) -> str:
    return part.split("::", 1)[0]


def read() -> dict[str, float]:
    """Part -> seconds, of the last run that was kept."""
    durations: dict[str, float] = json.loads(DURATIONS.read_text())
    return durations


def slow_modules(tests: Iterable[str]) -> set[str]:
    """Those of the tests whose average one is slow."""
    counts = Counter(map(_module_of, tests))
    durations = read()
    return {module for module, count in counts.items() if durations.get(module, 0.0) > SLOW_SECONDS * count}


def of_report(cases: Iterable[tuple[str, float]]) -> dict[str, float]:
    """(test, seconds) of a run -> what is kept of it."""
    modules: dict[str, dict[str, float]] = {}
    for test, seconds in cases:
        modules.setdefault(_module_of(test), {})[test] = seconds
    kept = {}
    for module, tests in sorted(modules.items()):
        total = sum(tests.values())
        kept[module] = total
        if total > LONG_SECONDS and not _has_module_fixtures(module) and not shares_the_service(module):
            kept.update((test, seconds) for test, seconds in sorted(tests.items()) if seconds >= _SHORT_SECONDS)
    return {part: round(seconds, 1) for part, seconds in kept.items()}


@functools.cache
def shares_the_service(module: str) -> bool:
    """Whether the fixture is named in it."""
    return module.startswith(SERVERS) and _says(module, "shared_service")


@functools.cache
def opens_tabs(module: str) -> bool:
    """Whether the fixture is named in it."""
    return "open_tab" in (ROOT / module).read_text()


@functools.cache
def _has_module_fixtures(module: str) -> bool:
    return _says(module, 'scope="module"')


def _says(module: str, words: str) -> bool:
    """Whether they are in its text or in that of the fixtures beside it."""
    path = ROOT / module
    return any(words in place.read_text() for place in (path, path.with_name("conftest.py")) if place.exists())


def _cases(report: Path) -> Iterable[tuple[str, float]]:
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.attrib["classname"].replace(".", "/") + ".py"
        if (ROOT / module).exists():  # what could not be collected is named otherwise
            yield f"{module}::{case.attrib['name']}", float(case.attrib["time"])


def refresh(report: Path) -> None:
    """Keep what a run tells, and of the modules that were not in it, and are still there, what was kept before."""
    told = of_report(_cases(report))
    kept = {part: seconds for part, seconds in read().items() if _module_of(part) not in told}
    durations = {part: seconds for part, seconds in {**kept, **told}.items() if (ROOT / _module_of(part)).exists()}
    DURATIONS.write_text(json.dumps(dict(sorted(durations.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if not Path(sys.argv[1]).exists():
        sys.exit(f"there is no {sys.argv[1]}: make test writes it")
    refresh(Path(sys.argv[1]))
