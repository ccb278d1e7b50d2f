"""Which worker takes which task, by tables."""

import pytest

from streamferry.reasons import InvalidValue
from streamferry.tasks.placement import (
    Candidate,
    Wanted,
    decide_moves,
    decide_places,
    explain_wait,
    labels_text,
    read_labels,
    read_labels_text,
)

EU, US = ("region=eu",), ("region=us",)


def worker(name: str, streams: int = 0, at_most: int = 10, **others: object) -> Candidate:
    labels = frozenset(others.pop("labels", ()))  # type: ignore[arg-type]
    return Candidate(name, streams, at_most, labels, **others)  # type: ignore[arg-type]


def task(name: str, **others: object) -> Wanted:
    return Wanted(name, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "workers", "pulls", "places"),
    [
        pytest.param([task("t")], [], {}, {}, id="nobody there"),
        pytest.param([task("t")], [worker("a", 3), worker("b", 2)], {}, {"t": "b"}, id="to the emptiest"),
        pytest.param([task("t")], [worker("a", 3, 100), worker("b", 2)], {}, {"t": "a"}, id="a larger one is emptier"),
        pytest.param([task("t")], [worker("a", 10), worker("b", 10)], {}, {}, id="no room"),
        pytest.param(
            [task("1"), task("2"), task("3"), task("4")],
            [worker("a"), worker("b")],
            {},
            {"1": "a", "2": "b", "3": "a", "4": "b"},
            id="spread",
        ),
        pytest.param(
            [task("1", source="s"), task("2", source="s"), task("3")],
            [worker("a"), worker("b")],
            {},
            {"1": "a", "2": "a", "3": "b"},
            id="one source together",
        ),
        pytest.param(
            [task("t", source="s")], [worker("a", 2), worker("b")], {"s": {"a"}}, {"t": "a"}, id="where it is pulled"
        ),
        pytest.param(
            [task("t", source="s")], [worker("a", 4), worker("b")], {"s": {"a"}}, {"t": "b"}, id="not at any price"
        ),
        pytest.param(
            [task("t", source="s")], [worker("a", 10), worker("b")], {"s": {"a"}}, {"t": "b"}, id="where is room"
        ),
        pytest.param(
            [task("t", labels=EU)], [worker("a"), worker("b", 5, labels=EU)], {}, {"t": "b"}, id="with its label"
        ),
        pytest.param(
            [task("t", labels=(*EU, "egress=192.0.2.1"))], [worker("a", labels=EU)], {}, {}, id="with all its labels"
        ),
        pytest.param([task("t", labels=EU)], [worker("a", labels=("region=eu2",))], {}, {}, id="no longer label"),
        pytest.param(
            [task("t", kbps=3000)],
            [worker("a", kbps=8000, max_kbps=10_000), worker("b", 5)],
            {},
            {"t": "b"},
            id="room for its bits",
        ),
        pytest.param(
            [task("t", kbps=30_000)], [worker("a", max_kbps=10_000)], {}, {"t": "a"}, id="an empty one takes any"
        ),
        pytest.param(
            [task("1", encodes=True), task("2", encodes=True), task("3")],
            [worker("a", max_encodes=1)],
            {},
            {"1": "a", "3": "a"},
            id="room for its encode",
        ),
        pytest.param([task("t", encodes=True)], [worker("a", max_encodes=0)], {}, {}, id="no encodes at all"),
        pytest.param([task("t")], [worker("a", max_encodes=0)], {}, {"t": "a"}, id="but what needs none"),
        pytest.param(
            [task("low"), task("high", priority=5), task("lower", priority=-1)],
            [worker("a", 8)],
            {},
            {"high": "a", "low": "a"},
            id="the most important first",
        ),
    ],
)
def test_places(
    wanted: list[Wanted], workers: list[Candidate], pulls: dict[str, set[str]], places: dict[str, str]
) -> None:
    """Labels are a must, and so is room; then together, then spread."""
    assert decide_places(wanted, workers, pulls) == places


def test_of_equals_the_one_that_asks_takes_it() -> None:
    """Nobody waits for the other one."""
    workers = [worker("a"), worker("b")]
    assert {name: decide_places([task("t")], workers, {}, asked_by=name)["t"] for name in "ab"} == {"a": "a", "b": "b"}


def test_workers_that_ask_at_once_wanted_the_same_tasks() -> None:
    """Of many tasks each of the emptiest wanted the first ones, and one of them got them."""
    workers = [worker(name) for name in "abc"]
    wanted = [task(str(number)) for number in range(9)]
    first, *others = [decide_places(wanted, workers, {}, asked_by=name) for name in "abc"]
    assert others == [first, first]
    assert sorted(first.values()) == [*"aaabbbccc"]


def test_no_task_has_two_places_and_none_is_overfull() -> None:
    """Also with more tasks than room."""
    workers = [worker(name, 1, 4, max_encodes=1) for name in "abc"]
    wanted = [task(str(number), encodes=number % 2 == 0, source=str(number % 3)) for number in range(20)]
    places = decide_places(wanted, workers, {})
    assert len(places) == 9
    for one in workers:
        assert sum(place == one.worker_id for place in places.values()) == 3
        assert sum(place == one.worker_id and int(name) % 2 == 0 for name, place in places.items()) <= 1


@pytest.mark.parametrize(
    ("standing", "others", "moved"),
    [
        pytest.param(worker("a", 9), [worker("b")], 1, id="a machine is back"),
        pytest.param(worker("a", 10), [worker("b")], 2, id="down to 80 %"),
        pytest.param(worker("a", 8), [worker("b")], 0, id="not crowded"),
        pytest.param(worker("a", 9), [worker("b", 6)], 0, id="nobody is calm"),
        pytest.param(worker("a", 10), [worker("b", 4)], 1, id="not beyond half"),
        pytest.param(worker("a", 10), [worker("b", labels=US), worker("c", 10)], 2, id="whom there are"),
        pytest.param(worker("a", 2, kbps=9_500, max_kbps=10_000), [worker("b", max_kbps=10_000)], 1, id="by its bits"),
    ],
)
def test_moves(standing: Candidate, others: list[Candidate], moved: int) -> None:
    """From the crowded to the calm, and no more than that."""
    tasks = [task(f"{number:02}", kbps=4_000) for number in range(standing.streams)]
    moves = decide_moves({"a": tasks}, [standing, *others], at_most=5)
    assert len(moves.get("a", ())) == moved


def test_what_moves() -> None:
    """The least important first; what shares its pull stays, and so does what no calm worker may take."""
    tasks = [
        task("important", priority=9),
        task("pull 1", source="s"),
        task("pull 2", source="s"),
        task("bound", labels=EU),
        task("plain"),
        task("alone", source="t"),
    ]
    full = worker("a", 10, labels=EU)
    assert decide_moves({"a": tasks}, [full, worker("b")], at_most=5) == {"a": ["alone", "plain"]}
    assert decide_moves({"a": tasks}, [full, worker("b")], at_most=1) == {"a": ["alone"]}
    assert decide_moves({"a": [*tasks[:4]]}, [full, worker("b")], at_most=5) == {"a": ["important"]}


@pytest.mark.parametrize(
    ("wanted", "workers", "told"),
    [
        (task("t"), [], "no worker takes tasks: none runs, or each is cordoned"),
        (task("t", encodes=True), [], "no worker takes tasks: none runs, or each is cordoned"),
        (task("t"), [worker("a", 10)], "no worker has room"),
        (task("t", labels=EU), [], "no worker takes tasks: none runs, or each is cordoned"),
        (task("t", labels=EU), [worker("a", labels=US)], "no worker has label region=eu"),
        (task("t", labels=EU), [worker("a", 10, labels=EU), worker("b")], "no worker with label region=eu has room"),
        (
            task("t", labels=("disk=ssd", "gpu=no", "region=eu")),
            [worker("a", labels=EU)],
            "no worker has label disk=ssd and gpu=no",
        ),
        (task("t", encodes=True), [worker("a", max_encodes=0)], "no worker has room for an encode"),
    ],
)
def test_why_nobody_takes_it(wanted: Wanted, workers: list[Candidate], told: str) -> None:
    """In words that say what to do."""
    assert str(explain_wait(wanted, workers)) == told


def test_labels_are_read_and_stored() -> None:
    """Sorted, each once, and the same again from their text."""
    labels = read_labels([" region=eu", "egress=2001:db8::1", "region=eu", "net=10.0.0.0/8"])
    assert labels == ("egress=2001:db8::1", "net=10.0.0.0/8", "region=eu")
    assert read_labels_text(labels_text(labels)) == labels
    assert read_labels_text(labels_text(())) == ()


@pytest.mark.parametrize(
    "text", ["", "region", "region=", "=eu", "re gion=eu", "region=[eu]", "1=a", "a=b=c", "x=" + "y" * 64]
)
def test_what_is_no_label(text: str) -> None:
    """Nothing that could be taken for another one in its text."""
    with pytest.raises(InvalidValue, match="must be name=value"):
        read_labels([text])


def test_too_many_labels() -> None:
    """They are bounded."""
    with pytest.raises(InvalidValue, match="at most 16"):
        read_labels([f"a{number}=b" for number in range(17)])
