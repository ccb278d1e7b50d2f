"""``/metrics``: what the store knows of tasks, workers and callbacks, in the text form of Prometheus.

Read when it is requested. Except for the disks it is the same on every machine that serves the store. It contains no
title, address or key.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from streamferry import __version__
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.media.errors import Fault
from streamferry.net.disk import Disk
from streamferry.relay.inputs.policy import SLATE
from streamferry.relay.status import State
from streamferry.store import TROUBLE
from streamferry.store.records import Backlog, RunningTask, TaskCount, WorkerRecord
from streamferry.tasks.model import ApiStatus


class Kind(StrEnum):
    """Kinds of Prometheus metrics that are in use."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without the prefix, what it is, and its labels."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is exposed."""
        return f"streamferry_{self.name}" + ("_total" if self.kind is Kind.COUNTER else "")


BUILD = Family("build_info", Kind.GAUGE, "Always 1; the version is in the label.", ("version",))
STORE_UP = Family("store_up", Kind.GAUGE, "1 while this service can write to the store.")
STORE_AWAY = Family("store_away_seconds", Kind.GAUGE, "For how long the store could not be written to; 0 while it can.")
STORE_LOG = Family("store_log_bytes", Kind.GAUGE, "Size of a SQLite store's write-ahead log.")
TASKS = Family("tasks", Kind.GAUGE, "Tasks by API status, and by state of their run.", ("status", "state"))
TROUBLED = Family(
    "tasks_in_trouble",
    Kind.GAUGE,
    "Active tasks that failed and have not streamed for 10 s since, whatever state they are in now.",
)
LATE_TASKS = Family("late_tasks", Kind.GAUGE, "Tasks that have been due for 5 s and that no worker has taken.")
SENT_RATE = Family("sent_kbps", Kind.GAUGE, "What all tasks send together, in kbit/s over the last second.")
CAPACITY = Family("worker_capacity", Kind.GAUGE, "Most tasks that the worker takes.", ("worker",))
LOAD = Family("worker_tasks", Kind.GAUGE, "Tasks that the worker holds.", ("worker",))
CPU = Family("worker_cpu_percent", Kind.GAUGE, "CPU of the worker process, in percent of one core.", ("worker",))
MEMORY = Family("worker_memory_bytes", Kind.GAUGE, "Resident memory of the worker process.", ("worker",))
LATE = Family("worker_beat_late_ms", Kind.GAUGE, "The latest beat of the worker's last minute, in ms.", ("worker",))
PREPARING = Family("worker_preparing", Kind.GAUGE, "Files being prepared for the worker.", ("worker",))
RECEIVED = Family("received_bytes", Kind.COUNTER, "Bytes from sources, since the worker's start.", ("worker",))
SENT = Family("sent_bytes", Kind.COUNTER, "Bytes to destinations, since the worker's start.", ("worker",))
DROPPED = Family("dropped_tags", Kind.COUNTER, "Frames dropped for slow destinations.", ("worker",))
REPAIRS = Family("repairs", Kind.COUNTER, "Stamps of sources that had to be changed.", ("worker",))
RETRIES = Family("retries", Kind.COUNTER, "Lost or refused sessions, by whose fault it was.", ("worker", "fault"))
DISK_FREE = Family(
    "disk_free_bytes",
    Kind.GAUGE,
    "Free space on the disk of a folder of this machine: data (store, library) or cache (prepared files).",
    ("folder",),
)
CALLBACKS = Family("callbacks", Kind.GAUGE, "Callbacks that wait, and those that were given up.", ("state",))
CALLBACK_LAG = Family("callback_lag_seconds", Kind.GAUGE, "Age of the oldest callback that waits; 0 for none.")
TASK_STATE = Family("task_state", Kind.GAUGE, "1 for the state that the task's run is in.", ("task", "state"))
TASK_TROUBLED = Family(
    "task_in_trouble", Kind.GAUGE, "1 while the task is in trouble: see streamferry_tasks_in_trouble.", ("task",)
)
TASK_RATE = Family("task_sent_kbps", Kind.GAUGE, "What the task sends, in kbit/s over the last second.", ("task",))
TASK_SENT = Family("task_sent_bytes", Kind.COUNTER, "Bytes sent since the task's run began.", ("task",))
TASK_MEDIA = Family(
    "task_media_seconds",
    Kind.COUNTER,
    "Media time sent since the task's run began: its rate is 1 for a stream in real time.",
    ("task",),
)
TASK_DROPPED = Family("task_dropped_tags", Kind.COUNTER, "Frames dropped since the task's run began.", ("task",))
TASK_RETRIES = Family("task_retries", Kind.COUNTER, "Retries since the task's run began.", ("task",))
TASK_DRIFT = Family(
    "task_sound_drift_seconds",
    Kind.GAUGE,
    "How far the clock of a live source's sound has run ahead of its picture's; sound is restamped to correct it.",
    ("task",),
)
TASK_LOST = Family(
    "task_lost_seconds",
    Kind.COUNTER,
    "Media that no destination was given since the task's run began: it was away or too slow.",
    ("task",),
)
TASK_LOST_PACKETS = Family(
    "task_lost_packets",
    Kind.COUNTER,
    "What never came of a live source since the task's run began: packets of RTP or MPEG-TS, segments of HLS.",
    ("task",),
)
TASK_RTT = Family(
    "task_rtt_seconds", Kind.GAUGE, "Round trip to the destination, of an RTMP session that is open.", ("task",)
)
TASK_RETRANSMITS = Family(
    "task_retransmits", Kind.COUNTER, "TCP segments sent again to the destination, since its session began.", ("task",)
)
TASK_DELIVERY = Family(
    "task_delivery_kbps",
    Kind.GAUGE,
    "What the line to the destination took in its last burst, which may be faster than the stream.",
    ("task",),
)
#: The number of an input, 0 for the source, ``slate`` or ``insert``: no more series than there may be inputs and two.
TASK_ON_AIR = Family(
    "task_on_air",
    Kind.GAUGE,
    "1 for what is on air of a task with further inputs or a slate: the number of an input (0 is the source), slate "
    "or insert.",
    ("task", "shown"),
)

#: A destination is told by its number, from 1 to 10, so that there are never more series, and no key is in one.
DESTINATION_STATE = Family(
    "task_destination_state",
    Kind.GAUGE,
    "1 with the state of each destination of a running task that has several.",
    ("task", "destination", "state"),
)
DESTINATION_RATE = Family(
    "task_destination_sent_kbps",
    Kind.GAUGE,
    "What is sent to each of several destinations, in kbit/s over the last second.",
    ("task", "destination"),
)
DESTINATION_DROPPED = Family(
    "task_destination_dropped_frames",
    Kind.COUNTER,
    "Frames dropped because that one of several destinations was too slow.",
    ("task", "destination"),
)
DESTINATION_RETRIES = Family(
    "task_destination_retries",
    Kind.COUNTER,
    "Sessions that were lost or refused at each of several destinations since the task's run began.",
    ("task", "destination"),
)

TASK_FOUND = Family(
    "task_content_fault",
    Kind.GAUGE,
    "1 while something is wrong with the content of a task that is watched: black, frozen, silent and so on.",
    ("task", "fault"),
)
TASK_UNSEEN = Family(
    "task_content_unseen",
    Kind.GAUGE,
    "1 while the picture or the sound of a task is to be watched and cannot be: nothing of it is found.",
    ("task", "sense"),
)
TASK_UNREADY = Family(
    "task_input_unready",
    Kind.GAUGE,
    "1 for a further input, by its number, or the slate that could not be shown now if it were needed.",
    ("task", "input"),
)

#: All metrics; those of single tasks only if the settings ask for them.
FAMILIES = (
    *(BUILD, STORE_UP, STORE_AWAY, STORE_LOG, DISK_FREE),
    *(TASKS, TROUBLED, LATE_TASKS, SENT_RATE, CAPACITY, LOAD, CPU, MEMORY, LATE, PREPARING),
    *(RECEIVED, SENT, DROPPED, REPAIRS, RETRIES, CALLBACKS, CALLBACK_LAG),
    *(TASK_STATE, TASK_TROUBLED, TASK_RATE, TASK_SENT, TASK_MEDIA, TASK_DROPPED, TASK_RETRIES, TASK_DRIFT),
    *(TASK_LOST, TASK_LOST_PACKETS, TASK_RTT, TASK_RETRANSMITS, TASK_DELIVERY, TASK_ON_AIR, TASK_FOUND),
    *(TASK_UNSEEN, TASK_UNREADY),
    *(DESTINATION_STATE, DESTINATION_RATE, DESTINATION_DROPPED, DESTINATION_RETRIES),
)


class Metrics:
    """``of_each_task`` adds a few series for every task that a worker has. ``disks``: this machine's, by name."""

    def __init__(
        self,
        actions: Actions,
        callbacks: Callbacks,
        pulse: Pulse,
        *,
        of_each_task: bool,
        disks: Mapping[str, Disk] | None = None,
    ) -> None:
        self._disks = disks or {}
        self._actions = actions
        self._callbacks = callbacks
        self._pulse = pulse
        self._of_each_task = of_each_task

    async def render(self) -> bytes:
        """The page, in text format 0.0.4. While the store cannot be read, only what this service itself knows."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Here(self._pulse, await asyncio.to_thread(self._free_bytes)))
        with suppress(*TROUBLE):
            alive = [one for one in await self._actions.list_workers() if one.is_alive]
            running = await self._actions.list_running() if self._of_each_task else ()
            counts, backlog = await self._actions.count_tasks(), await self._callbacks.backlog()
            registry.register(_Look(counts, alive, backlog, running, await self._actions.count_late()))
        return generate_latest(registry)

    def _free_bytes(self) -> dict[str, int]:
        found = {}
        for name, disk in self._disks.items():
            with suppress(OSError):  # A disk that cannot be read has no sample.
                found[name] = disk.free_bytes
        return found


class _Here(Collector):
    """What this service knows without reading the store. ``free_bytes``: of each disk."""

    def __init__(self, pulse: Pulse, free_bytes: Mapping[str, int]) -> None:
        self._pulse = pulse
        self._free_bytes = free_bytes

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield _family(BUILD, [((__version__,), 1)])
        yield _family(STORE_UP, [((), float(self._pulse.trouble is None))])
        yield _family(STORE_AWAY, [((), self._pulse.trouble_s)])
        if (log_bytes := self._pulse.log_bytes()) is not None:
            yield _family(STORE_LOG, [((), log_bytes)])
        yield _family(DISK_FREE, [((name,), free) for name, free in self._free_bytes.items()])


class _Look(Collector):
    """One reading of the store, as metric families."""

    def __init__(
        self,
        counts: Sequence[TaskCount],
        workers: Sequence[WorkerRecord],
        backlog: Backlog,
        running: Sequence[RunningTask],
        late: int,
    ) -> None:
        self._late = late
        self._counts = counts
        self._workers = workers
        self._backlog = backlog
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._of_tasks()
        yield from self._of_workers()
        waiting, dead = self._backlog.waiting, self._backlog.dead
        yield _family(CALLBACKS, [(("waiting",), waiting), (("dead",), dead)])
        yield _family(CALLBACK_LAG, [((), self._backlog.oldest_age_s)])
        yield from self._of_each_task()

    def _of_tasks(self) -> Iterator[Metric]:
        found: Counter[tuple[ApiStatus, State]] = Counter()
        for one in self._counts:
            found[one.status, one.state] += one.tasks
        # Each state of an active task is present from the start, so that alert rules can rely on the series.
        pairs = {*found, *((ApiStatus.ACTIVE, state) for state in State)}
        yield _family(TASKS, [((status.name.lower(), state.value), found[status, state]) for status, state in pairs])
        yield _family(TROUBLED, [((), sum(one.tasks for one in self._counts if one.in_trouble))])
        yield _family(LATE_TASKS, [((), self._late)])
        yield _family(SENT_RATE, [((), sum(one.kbps_out for one in self._counts))])

    def _of_workers(self) -> Iterator[Metric]:
        workers = self._workers
        yield _family(CAPACITY, [((one.worker_id,), one.capacity) for one in workers])
        yield _family(LOAD, [((one.worker_id,), one.load) for one in workers])
        told = [(one.worker_id, one.health, one.health.totals) for one in workers if one.health is not None]
        yield _family(CPU, [((name,), health.cpu_percent) for name, health, _ in told])
        yield _family(MEMORY, [((name,), health.memory_bytes) for name, health, _ in told])
        yield _family(LATE, [((name,), health.beat_late_ms) for name, health, _ in told])
        yield _family(PREPARING, [((name,), health.preparing) for name, health, _ in told])
        yield _family(RECEIVED, [((name,), totals.bytes_in) for name, _, totals in told])
        yield _family(SENT, [((name,), totals.bytes_out) for name, _, totals in told])
        yield _family(DROPPED, [((name,), totals.dropped_tags) for name, _, totals in told])
        yield _family(REPAIRS, [((name,), totals.repairs) for name, _, totals in told])
        yield _family(
            RETRIES, [((name, fault.value), totals.retries[fault]) for name, _, totals in told for fault in Fault]
        )

    def _of_each_task(self) -> Iterator[Metric]:
        running = self._running
        if not running:
            return
        yield _family(TASK_STATE, [((one.task_id, one.state.value), 1) for one in running])
        yield _family(TASK_TROUBLED, [((one.task_id,), int(one.in_trouble)) for one in running])
        yield _family(TASK_RATE, [((one.task_id,), one.kbps_out) for one in running])
        yield _family(TASK_SENT, [((one.task_id,), one.bytes_out) for one in running])
        yield _family(TASK_MEDIA, [((one.task_id,), one.media_time_ms / 1000) for one in running])
        yield _family(TASK_DROPPED, [((one.task_id,), one.dropped_tags) for one in running])
        yield _family(TASK_RETRIES, [((one.task_id,), one.retries) for one in running])
        drifts = [((one.task_id,), one.sound_drift_ms / 1000) for one in running if one.sound_drift_ms is not None]
        yield _family(TASK_DRIFT, drifts)
        yield _family(TASK_LOST, [((one.task_id,), one.lost_ms / 1000) for one in running])
        yield _family(TASK_LOST_PACKETS, [((one.task_id,), one.lost_packets) for one in running])
        found = [((one.task_id, content.fault.value), 1.0) for one in running for content in one.found]
        yield _family(TASK_FOUND, found)
        unseen = [((one.task_id, content.sense.value), 1.0) for one in running for content in one.unseen]
        yield _family(TASK_UNSEEN, unseen)
        away = [(one.task_id, it.which) for one in running for it in one.unready]
        unready = [((name, "slate" if which == SLATE else str(which)), 1.0) for name, which in away]
        yield _family(TASK_UNREADY, unready)
        known = [((one.task_id,), one) for one in running if one.rtt_ms is not None]
        yield _family(TASK_RTT, [(labels, (one.rtt_ms or 0) / 1000) for labels, one in known])
        yield _family(TASK_RETRANSMITS, [(labels, one.retransmits or 0) for labels, one in known])
        shown = [(one.task_id, one.on_air) for one in running if one.on_air is not None]
        yield _family(TASK_ON_AIR, [((name, str(it.shown if it.input is None else it.input)), 1) for name, it in shown])
        each = [((one.task_id, str(to.id)), to) for one in running for to in one.destinations]
        yield _family(DESTINATION_STATE, [((*labels, to.state.value), 1) for labels, to in each])
        yield _family(DESTINATION_RATE, [(labels, to.kbps_out) for labels, to in each])
        yield _family(DESTINATION_DROPPED, [(labels, to.dropped_tags) for labels, to in each])
        yield _family(DESTINATION_RETRIES, [(labels, to.retries) for labels, to in each])
        yield _family(TASK_DELIVERY, [(labels, one.delivery_kbps) for labels, one in known if one.delivery_kbps])


def _family(family: Family, samples: Sequence[tuple[tuple[str, ...], float]]) -> Metric:
    made = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = made(f"streamferry_{family.name}", family.text, labels=family.labels)
    for labels, value in sorted(samples):
        metric.add_metric(labels, value)
    return metric
