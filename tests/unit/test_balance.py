"""How the tests are shared among processes; see tests/kit/balance.py."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kit import balance
from kit.balance import LongestFirst, of_report

LONG, WHOLE = "tests/long.py", "tests/whole.py"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules; the tests of one share what is made once."""
    (tmp_path / "tests").mkdir()
    (tmp_path / LONG).write_text("")
    (tmp_path / WHOLE).write_text('@pytest.fixture(scope="module")')
    monkeypatch.setattr(balance, "ROOT", tmp_path)


class Process:
    """Takes what it is given, as a process of xdist does."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def ran(tests: list[str], durations: dict[str, float], count: int, pytestconfig: pytest.Config) -> list[list[str]]:
    """What each process was given, in order, where all tests take the same time."""
    config: Any = SimpleNamespace(option=SimpleNamespace(loadscopereorder=False), getvalue=lambda _: ["popen"] * count)
    config.hook = pytestconfig.hook
    scheduler = LongestFirst(config, None, durations)
    processes: list[Any] = [Process(f"gw{number}") for number in range(count)]
    for process in processes:
        scheduler.add_node(process)
        scheduler.add_node_collection(process, tests)
    scheduler.schedule()
    done = [0] * count
    while scheduler.has_pending:
        for number, process in enumerate(processes):
            if done[number] < len(process.given):
                scheduler.mark_test_complete(process, process.given[done[number]])
                done[number] += 1
    assert all(process.shutting_down for process in processes)
    return [[tests[index] for index in process.given] for process in processes]


def test_every_test_runs_once_and_a_module_in_one_process(pytestconfig: pytest.Config) -> None:
    """Whatever is known of how long they take."""
    tests = [f"tests/{name}.py::test_{number}[a::b]" for name in "abcdefg" for number in range(5)]
    given = ran(tests, {f"tests/{name}.py": 1.0 for name in "abcd"}, 3, pytestconfig)
    assert sorted(test for one in given for test in one) == sorted(tests)
    for one in given:
        assert all(one.count(test) == 1 for test in one)
        modules = {test.split("::")[0] for test in one}
        assert all(len([test for test in one if test.startswith(module)]) == 5 for module in modules)


def test_the_longest_begins_and_what_is_not_known_is_no_short_one(pytestconfig: pytest.Config) -> None:
    """With one process, so that the order is seen."""
    tests = [f"tests/{name}.py::test" for name in ("short", "unknown", "longest", "long")]
    durations = {"tests/short.py": 1.0, "tests/longest.py": 15.0, "tests/long.py": 12.0}
    assert [test[6:-9] for test in ran(tests, durations, 1, pytestconfig)[0]] == ["longest", "long", "unknown", "short"]


@pytest.mark.usefixtures("modules")
def test_a_long_module_is_shared_unless_it_has_what_is_made_once(pytestconfig: pytest.Config) -> None:
    """Each of its tests is a part; one with a server of the module's stays whole."""
    tests = [f"{module}::test_{number}" for module in (LONG, WHOLE) for number in range(8)]
    given = ran(tests, {LONG: 100.0, WHOLE: 100.0, f"{LONG}::test_5": 60.0}, 2, pytestconfig)
    of_whole = [{test.startswith(WHOLE) for test in one} for one in given]
    assert sorted(test for one in given for test in one) == sorted(tests)
    assert sum(True in kinds for kinds in of_whole) == 1
    assert all(any(test.startswith(LONG) for test in one) for one in given)


def test_what_uses_the_shared_service_is_tested_in_one_process(
    modules: None, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Long modules, too, one after the other: the service is started once, and idle for nobody. A browser likewise."""
    folder = tmp_path / "tests/e2e"
    folder.mkdir()
    sharing = [f"tests/e2e/sharing_{letter}.py" for letter in "ab"]
    browsing = [f"tests/e2e/browsing_{letter}.py" for letter in "ab"]
    for module in sharing:
        (tmp_path / module).write_text("def test_1(shared_service): ...")
    for module in browsing:
        (tmp_path / module).write_text("def test_1(shared_service, open_tab): ...")
    (folder / "other.py").write_text("")
    modules_of_all = (*sharing, *browsing, "tests/e2e/other.py")
    tests = [f"{module}::test_{number}" for module in modules_of_all for number in range(4)]
    given = ran(tests, dict.fromkeys((*sharing, *browsing), 100.0), 4, pytestconfig)
    assert sorted(test for one in given for test in one) == sorted(tests)
    for part in (sharing, browsing):
        of_part = [[test.partition("::")[0] in part for test in one] for one in given]
        assert sum(any(kinds) for kinds in of_part) == 1
        assert all(kinds == sorted(kinds, reverse=True) for kinds in of_part)


@pytest.mark.usefixtures("modules")
def test_what_is_kept_of_a_run() -> None:
    """Modules, and the tests that matter of those that are shared."""
    cases = [(f"{LONG}::test_a", 19.96), (f"{LONG}::test_b", 0.5), (f"{WHOLE}::test_c", 50.0), ("tests/x.py::test", 1)]
    assert of_report(cases) == {LONG: 20.5, f"{LONG}::test_a": 20.0, WHOLE: 50.0, "tests/x.py": 1}


def test_the_seconds_that_are_kept_can_be_read() -> None:
    """There are some of most modules: without them the longest may begin last."""
    known = {part.split("::")[0] for part in balance.read()}
    modules = [path.relative_to(balance.ROOT).as_posix() for path in (balance.ROOT / "tests").rglob("test_*.py")]
    assert len(known.intersection(modules)) > len(modules) / 2


def test_a_part_of_the_tests_refreshes_its_part(modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not run is kept, unless it is gone."""
    monkeypatch.setattr(balance, "DURATIONS", tmp_path / "durations.json")
    balance.DURATIONS.write_text(json.dumps({LONG: 100.0, f"{LONG}::test_a": 90.0, WHOLE: 5.0, "tests/gone.py": 7.0}))
    (tmp_path / "report").write_text('<r><testcase classname="tests.long" name="test_b" time="3.04"/></r>')
    balance.refresh(tmp_path / "report")
    assert balance.read() == {LONG: 3.0, WHOLE: 5.0}
