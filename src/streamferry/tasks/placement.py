"""Which worker takes which task. Pure: what is known of workers and tasks goes in, a decision comes out.

A worker takes a task only if it has every label that the task asks for, and room for it by all its measures: streams,
bits a second, encodes. Of those that can take it: the one that already pulls the same live source, so that one pull
feeds both, unless it is much fuller than the emptiest; else the emptiest. Tasks with a higher priority choose first.
Nothing on air is ever ended to make room for another task (docs/decisions/0094).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heapreplace

from streamferry.reasons import Code, InvalidValue, Reason

MAX_LABELS = 16
#: Of a task; more is taken first.
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
#: What a task that has not streamed yet is taken to send: between what platforms ask for at 720p and at 1080p.
UNKNOWN_KBPS = 4_000
#: Tasks with one source stay together until their worker is fuller than the emptiest by this part of its capacity.
_TOGETHER = 0.25
#: A move costs a gap at the destination. It is worth that only from a worker that is fuller than this, by any measure,
#: to one that stays below this even with the task.
CROWDED, CALM = 0.8, 0.5
#: A name and a value: hosts, regions, addresses of both families.
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}=[A-Za-z0-9._:/-]{1,63}")


def read_labels(texts: Iterable[str]) -> tuple[str, ...]:
    """Labels as ``name=value``, sorted, each once. Raises InvalidValue."""
    labels = tuple(sorted({text.strip() for text in texts}))
    if len(labels) > MAX_LABELS:
        raise InvalidValue(Code.FIELD_TOO_MANY_LABELS, count=MAX_LABELS)
    if not all(_LABEL.fullmatch(one) for one in labels):
        raise InvalidValue(Code.FIELD_LABEL)
    return labels


def labels_text(labels: Sequence[str]) -> str:
    """Labels as one text for a column: ``[egress=192.0.2.1][region=eu]``. No label has a bracket."""
    return "".join(f"[{one}]" for one in labels)


def read_labels_text(text: str) -> tuple[str, ...]:
    """The labels of such a text."""
    return tuple(text[1:-1].split("][")) if text else ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A living worker that takes tasks. ``max_kbps`` and ``max_encodes``: None for no limit."""

    worker_id: str
    streams: int
    max_streams: int
    labels: frozenset[str] = frozenset()
    kbps: int = 0
    max_kbps: int | None = None
    encodes: int = 0
    max_encodes: int | None = None

    def fullness(self, wanted: "Wanted | None" = None) -> float:
        """The largest of its measures as a fraction of its limit, with a task if one is given."""
        measures = [(self.streams + (wanted is not None), self.max_streams)]
        if self.max_kbps is not None:
            measures.append((self.kbps + (wanted.kbps if wanted else 0), self.max_kbps))
        if self.max_encodes is not None:
            measures.append((self.encodes + (wanted.encodes if wanted else 0), self.max_encodes))
        return max(used / limit if limit else float(used > 0) * 2 for used, limit in measures)

    def has_labels(self, wanted: "Wanted") -> bool:
        """Whether it has every label that is asked for."""
        return self.labels.issuperset(wanted.labels)

    def has_room(self, wanted: "Wanted") -> bool:
        """Whether it has room by all measures. One that is empty takes a task of any bit rate."""
        return (
            self.streams < self.max_streams
            and (self.max_kbps is None or not self.kbps or self.kbps + wanted.kbps <= self.max_kbps)
            and (not wanted.encodes or self.max_encodes is None or self.encodes < self.max_encodes)
        )

    def with_task(self, wanted: "Wanted") -> "Candidate":
        """The same, once it has the task."""
        # Not ``replace``: for thousands of tasks that is most of what a decision costs.
        return Candidate(
            self.worker_id,
            self.streams + 1,
            self.max_streams,
            self.labels,
            self.kbps + wanted.kbps,
            self.max_kbps,
            self.encodes + wanted.encodes,
            self.max_encodes,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that needs a worker. ``source``: equal for tasks that one pull could feed; None: it shares with none."""

    task_id: str
    labels: tuple[str, ...] = ()
    kbps: int = UNKNOWN_KBPS
    encodes: bool = False
    priority: int = 0
    source: str | None = None


class _Fleet:
    """Workers as they fill. ``asked_by``: who is chosen among those that are as empty, else the first by name."""

    def __init__(self, workers: Sequence[Candidate], asked_by: str | None) -> None:
        self.standing = {one.worker_id: one for one in workers}
        self._asked_by = asked_by
        self._has_kbps = any(one.max_kbps is not None for one in workers)
        # Of each kind of task, who may take one; as it was when somebody last looked at them.
        self._ranks: dict[tuple[object, ...], list[tuple[float, bool, str]]] = {}

    def rank(self, worker_id: str, task: Wanted) -> tuple[float, bool, str]:
        """The least is the best."""
        return self.standing[worker_id].fullness(task), worker_id != self._asked_by, worker_id

    def emptiest(self, task: Wanted) -> str | None:
        """The worker with room for it that is the best. Who has taken a task since the last look only got fuller."""
        kind = (task.labels, task.encodes, task.kbps if self._has_kbps else 0)
        ranks = self._ranks.get(kind)
        if ranks is None:
            able = [one.worker_id for one in self.standing.values() if one.has_labels(task)]
            ranks = self._ranks[kind] = sorted(self.rank(worker_id, task) for worker_id in able)
        while ranks:
            *_, worker_id = ranks[0]
            if not self.standing[worker_id].has_room(task):
                heappop(ranks)
            elif (rank := self.rank(worker_id, task)) != ranks[0]:
                heapreplace(ranks, rank)
            else:
                return worker_id
        return None

    def may_take(self, worker_id: str, task: Wanted) -> bool:
        """Whether it is there, and has the labels and the room."""
        one = self.standing.get(worker_id)
        return one is not None and one.has_labels(task) and one.has_room(task)

    def give(self, worker_id: str, task: Wanted) -> None:
        """It has one more."""
        self.standing[worker_id] = self.standing[worker_id].with_task(task)


def decide_places(
    wanted: Sequence[Wanted],
    workers: Sequence[Candidate],
    pulls: Mapping[str, Collection[str]],
    *,
    asked_by: str | None = None,
) -> dict[str, str]:
    """Task -> worker, for the tasks that have a place. ``pulls``: source -> the workers that pull it.

    Each worker decides this for itself (``asked_by``) and takes its part. Of a few tasks it takes those for which
    others are only as good: it is there, and need not wait for another one to ask. Of many all decide alike, or they
    would all want the same ones.
    """
    fleet = _Fleet(workers, asked_by if len(wanted) < len(workers) else None)
    pulled = {source: set(ids) for source, ids in pulls.items()}
    places: dict[str, str] = {}
    # A stable sort: those that wait longest come first in ``wanted``.
    for task in sorted(wanted, key=lambda one: -one.priority):
        chosen = fleet.emptiest(task)
        if chosen is None:
            continue
        if task.source is not None:
            with_source = pulled.setdefault(task.source, set())
            same = [fleet.rank(one, task) for one in with_source if fleet.may_take(one, task)]
            if same and min(same)[0] <= fleet.rank(chosen, task)[0] + _TOGETHER:
                *_, chosen = min(same)
            with_source.add(chosen)
        fleet.give(chosen, task)
        places[task.task_id] = chosen
    return places


def decide_moves(
    tasks: Mapping[str, Sequence[Wanted]], workers: Sequence[Candidate], *, at_most: int
) -> dict[str, list[str]]:
    """Worker -> tasks that it should hand over because it is crowded and another one is calm. See ``CROWDED``.

    ``tasks``: those of crowded workers. What asks for the least goes first: the lowest priority, and no task that
    shares its pull with another one of the worker.
    """
    standing = {one.worker_id: one for one in workers}
    moves: dict[str, list[str]] = {}
    for worker_id in sorted(tasks):
        sources = [one.source for one in tasks[worker_id] if one.source is not None]
        movable = [one for one in tasks[worker_id] if one.source is None or sources.count(one.source) == 1]
        for task in sorted(movable, key=lambda one: (one.priority, one.task_id)):
            crowded = standing.get(worker_id)
            if crowded is None or crowded.fullness() <= CROWDED or sum(map(len, moves.values())) >= at_most:
                break
            calm = [
                one
                for one in standing.values()
                if one.has_labels(task) and one.has_room(task) and one.fullness(task) <= CALM
            ]
            if not calm:
                continue
            to = min(calm, key=lambda one: (one.fullness(task), one.worker_id))
            standing[to.worker_id] = to.with_task(task)
            standing[worker_id] = replace(
                crowded,
                streams=crowded.streams - 1,
                kbps=max(0, crowded.kbps - task.kbps),
                encodes=crowded.encodes - task.encodes,
            )
            moves.setdefault(worker_id, []).append(task.task_id)
    return moves


def explain_wait(task: Wanted, workers: Sequence[Candidate]) -> Reason:
    """Why no worker takes it. ``workers``: those that run and take tasks."""
    if not workers:
        return Reason.of(Code.TASK_NO_WORKER)
    able = [one for one in workers if one.has_labels(task)]
    if not able:
        missing = [one for one in task.labels if all(one not in worker.labels for worker in workers)]
        # Each label is there, but not on one worker.
        return Reason.of(Code.TASK_NO_LABEL, labels=tuple(missing or task.labels))
    if able and task.encodes and all(one.max_encodes is not None and one.encodes >= one.max_encodes for one in able):
        return Reason.of(Code.TASK_NO_ENCODE_ROOM)
    if task.labels:
        return Reason.of(Code.TASK_NO_LABELLED_ROOM, labels=task.labels)
    return Reason.of(Code.TASK_NO_ROOM)


#: The codes of these reasons.
WAITS = frozenset(
    map(
        str,
        (
            Code.TASK_NO_WORKER,
            Code.TASK_NO_ROOM,
            Code.TASK_NO_LABEL,
            Code.TASK_NO_LABELLED_ROOM,
            Code.TASK_NO_ENCODE_ROOM,
        ),
    )
)
