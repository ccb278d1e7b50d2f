"""How the tests are shared among processes; see tests/kit/balance.py."""

import json
from pathlib import Path

import pytest

from kit import balance
from kit.balance import Parts, of_report

LONG, WHOLE = "tests/long.py", "tests/whole.py"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules; the tests of one share what is made once."""
    (tmp_path / "tests").mkdir()
    (tmp_path / LONG).write_text("")
    (tmp_path / WHOLE).write_text('@pytest.fixture(scope="module")')
    monkeypatch.setattr(balance, "ROOT", tmp_path)


def handed_out(tests: list[str], durations: dict[str, float]) -> list[list[str]]:
    """The parts in their order."""
    parts = Parts(tests, durations)
    return [[tests[index] for index in part] for part in iter(parts.take, [])]


def test_every_test_runs_once_and_a_module_in_one_process() -> None:
    """Whatever is known of how long they take."""
    tests = [f"tests/{name}.py::test_{number}[a::b]" for number in range(5) for name in "abcdefg"]
    given = handed_out(tests, {f"tests/{name}.py": 1.0 for name in "abcd"})
    assert sorted(test for part in given for test in part) == sorted(tests)
    for part in given:
        module = part[0].split("::")[0]
        assert part == [test for test in tests if test.startswith(module)]


def test_the_longest_begins_and_what_is_not_known_is_no_short_one() -> None:
    """Whatever their order."""
    tests = [f"tests/{name}.py::test" for name in ("short", "unknown", "longest", "long")]
    durations = {"tests/short.py": 1.0, "tests/longest.py": 15.0, "tests/long.py": 12.0}
    assert [part[0][6:-9] for part in handed_out(tests, durations)] == ["longest", "long", "unknown", "short"]


def test_every_second_part_has_servers(modules: None, tmp_path: Path) -> None:
    """So that not all processes start servers at once; for as long as there are parts of both kinds."""
    of_servers = [f"tests/{name}.py" for name in ("e2e/a", "e2e/b", "contract/c")]
    for module in of_servers:
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("")
    tests = [f"{module}::test" for module in (*of_servers, "tests/unit/a.py", "tests/unit/b.py")]
    given = handed_out(tests, {of_servers[0]: 100.0, of_servers[1]: 90.0})
    assert [part[0].split("::")[0] in of_servers for part in given] == [True, False, True, False, True]


@pytest.mark.usefixtures("modules")
def test_a_long_module_is_shared_unless_it_has_what_is_made_once() -> None:
    """Each of its tests is a part; one with a server of the module's stays whole."""
    tests = [f"{module}::test_{number}" for module in (LONG, WHOLE) for number in range(8)]
    given = handed_out(tests, {LONG: 100.0, WHOLE: 90.0, f"{LONG}::test_5": 95.0})
    assert given[:2] == [[f"{LONG}::test_5"], [test for test in tests if test.startswith(WHOLE)]]
    assert sorted(given[2:]) == [[test] for test in tests if test.startswith(LONG) and test not in given[0]]


def test_what_uses_the_shared_service_is_tested_in_one_process(modules: None, tmp_path: Path) -> None:
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
    given = handed_out(tests, dict.fromkeys((*sharing, *browsing), 100.0))
    assert given == [
        [test for test in tests if test.partition("::")[0] in part]
        for part in (sharing, browsing, ["tests/e2e/other.py"])
    ]


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
