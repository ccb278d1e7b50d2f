"""Values as a person reads them: rates, spans, sizes, and what a task is doing in one word. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from streamferry.media.url import readable
from streamferry.reasons import Reason
from streamferry.relay.spec import Codecs
from streamferry.relay.status import State
from streamferry.web.dashboard.connection_values import CONNECT_LABELS
from streamferry.web.dashboard.texts import Say, Translate
from streamferry.web.dashboard.window_values import PRESETS
from streamferry.web.views import DestinationView, FoundView, RunView, Status, TaskView, TroubleView, UnseenView

UNKNOWN = "–"
# "File: https://... or /path", "代理：http://...".
_END_OF_NAME = re.compile(r"[:,：，（]| with ")


def kbps(value: int | None) -> str:
    """A rate."""
    if value is None:
        return UNKNOWN
    return f"{value} kbps" if value < 10_000 else f"{value / 1000:.1f} Mbps"


def span(seconds: float | None) -> str:
    """A length of time as h:mm:ss, with days before it."""
    if seconds is None:
        return UNKNOWN
    days, rest = divmod(int(seconds), 86_400)
    text = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {text}" if days else text


def offset(seconds: float) -> str:
    """A position in a file, to the millisecond unless it is a whole second."""
    rest = f"{seconds % 1:.3f}"[1:].rstrip("0").rstrip(".")
    return span(seconds) + rest


def part(start_s: float, end_s: float) -> str:
    """Which part of a file is played; empty for all of it."""
    return f"{offset(start_s)} – {offset(end_s) if end_s else '…'}" if start_s or end_s else ""


def drift(seconds: float | None) -> str:
    """How far a clock has run ahead (with a minus: behind)."""
    return UNKNOWN if seconds is None else f"{seconds:+.2f} s"


def destination_problem_of(one: DestinationView, say: Say) -> str:
    """Why one of several destinations is not sent what it should be; empty if it is."""
    run = one.run
    why = Reason.of_told(dict(run)) if one.enabled and run is not None else None
    return say(why) if why else ""


def lost(seconds: float) -> str:
    """How much media was lost."""
    return f"{seconds:.1f} s" if 0 < seconds < 100 else span(seconds)


def name_and_place(address: str) -> tuple[str, str]:
    """The file of an address and its folder; a live address has no file, and is its own name."""
    if not address.startswith(("file:", "http:", "https:", "s3:")):
        return readable(address), ""
    if address.startswith("s3:"):
        # Its key is as it is written.
        address = "s3:" + quote(address.removeprefix("s3:"))
    plain, mark, query = address.partition("?")
    place, _, name = plain.rpartition("/")
    if not name or place.endswith("/"):
        return readable(address), ""
    return readable(name), readable(place.removeprefix("file://")) + (f"/{mark}{query}" if mark else "")


def size(count: float) -> str:
    """Bytes, in a suitable unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def state_of(task: TaskView) -> State:
    """What a task is doing. A stopped or ended task is shown as that, whatever its last run said, unless it failed."""
    if task.status is Status.DISABLED:
        return State.STOPPED
    if task.status is Status.ENDED:
        return State.FAILED if task.run.state is State.FAILED else State.ENDED
    # Continued a moment ago, or given a new window: no worker has taken it yet.
    return State.WAITING if task.run.state in (State.STOPPED, State.ENDED) else task.run.state


def trouble_of(task: TaskView) -> TroubleView | None:
    """What keeps it from streaming: the one rule for tiles, filters, lists and pages."""
    return task.run.trouble if task.status is Status.ACTIVE else None


def chip_of(task: TaskView, t: Translate) -> tuple[str, str]:
    """The chip for what it is doing: its style (``s-`` in the style sheet) and text.

    A task in trouble never looks as if it had just begun: between two tries it is retrying, and once it streams again
    it is recovering for a while.
    """
    state, trouble = state_of(task), trouble_of(task)
    if trouble is None or state in (State.FAILED, State.STALLED):
        return state.value, t(f"state.{state.value}")
    if state is State.STREAMING:
        return "recovering", t("state.recovering")
    if not trouble.tries:
        return "troubled", t(f"state.{state.value}")
    return State.RETRYING.value, t("state.retrying_try", tries=trouble.tries)


def is_on_air(task: TaskView) -> bool:
    """Whether viewers would notice its end."""
    return state_of(task) is State.STREAMING


def title_of(task: TaskView, t: Translate) -> str:
    """The title, or a substitute for it."""
    return task.title or t("task.untitled", id=task.task_id[:8])


def problem_of(task: TaskView, t: Translate, say: Say) -> str:
    """Why it does not stream, if something keeps it from that; after its window, why it did not."""
    told: TroubleView | RunView | None = trouble_of(task)
    if task.status is Status.ENDED and task.run.state is State.FAILED:
        told = task.run
    if told is None or told.fault is None:
        return ""
    why = Reason.of_told(dict(told))
    return f"{t(f'fault.{told.fault.value}')} — {say(why) if why else ''}"


def callback_trouble_of(task: TaskView, t: Translate) -> str:
    """What is wrong with its callbacks' receiver, if it does not accept them."""
    if task.callbacks_ended:
        return t("callbacks.ended")
    return t("callbacks.not_taken", tries=task.callback_failures) if task.callback_failures else ""


def found_in(task: TaskView) -> list[FoundView]:
    """What is wrong with the content that it sends."""
    return task.run.found if state_of(task) is State.STREAMING else []


def unseen_in(task: TaskView) -> list[UnseenView]:
    """What of it cannot be watched."""
    return task.run.unseen if state_of(task) is State.STREAMING else []


def content_of(task: TaskView, say: Say) -> str:
    """Both in words."""
    whys = [Reason.of_told(one.model_dump()) for one in (*found_in(task), *unseen_in(task))]
    return " · ".join(say(why) for why in whys if why is not None)


def recurrence_of(task: TaskView, t: Translate) -> str:
    """Whether its window has no end, or recurs and how."""
    if task.end_at == "never":
        return t("window.never")
    if task.series is None:
        return ""
    name = next((name for name, rule in PRESETS.items() if rule == task.series.rule), None)
    rule = t(f"rule.{name}") if name else task.series.rule
    return f"· {rule} · {task.series.time_zone}"


def connection_of(options: Mapping[str, Any], t: Translate) -> str:
    """How the peers of one end are reached and what they are told, a line each; empty for nothing special."""
    told = [(label_of(t(f"form.{name}")), options[name]) for name in ("proxy", "bind") if name in options]
    told += options.get("headers", {}).items()
    told += [(label, options[name]) for name, label in CONNECT_LABELS.items() if name in options]
    told += [
        (label_of(t(f"form.{name}")), options[name]) for name in ("segments_behind", "max_kbps") if name in options
    ]
    if "rotate_s" in options:
        told.append((label_of(t("form.rotate_s")), span(options["rotate_s"])))
    lines = [t("task.told", name=name, value=value) for name, value in told]
    return "\n".join([*lines, *(t(f"form.{name}") for name in ("keep_drift", "overlap") if name in options)])


def placement_of(task: TaskView, t: Translate) -> str:
    """What it asks of its worker, which has it, and its priority, a line each; empty for nothing special."""
    told = []
    if task.placement:
        told.append(t("task.told", name=t("form.placement"), value=", ".join(task.placement)))
    if task.run.worker_id and task.placement:
        told.append(t("task.told", name=t("task.worker"), value=task.run.worker_id))
    if task.priority:
        told.append(t("task.told", name=t("form.priority"), value=task.priority))
    return "\n".join(told)


def codecs_of(task: TaskView, t: Translate) -> str:
    """In which codecs the destination is sent the stream; empty for those of the source."""
    if task.codecs is Codecs.ANY:
        return ""
    return t("task.told", name=label_of(t("form.codecs")), value=t(f"codecs.{task.codecs.value}"))


def label_of(label: str) -> str:
    """The name that a label of the form begins with: it goes on with what may be typed."""
    return _END_OF_NAME.split(label)[0]


def urgency(task: TaskView) -> tuple[bool, str]:
    """To sort by: what has failed comes first, then what has been in trouble longest."""
    trouble = trouble_of(task)
    return task.run.state is not State.FAILED, trouble.since_at.isoformat() if trouble else ""


def place_of(task: TaskView, t: Translate) -> str:
    """The position of its list, as text that counts from 1."""
    head = task.run.playhead
    if head is None:
        return ""
    words = [t("place.item", item=head.item + 1, items=len(task.sources))] if len(task.sources) > 1 else []
    words.append(span(head.position_s))
    if task.loops == -1 or task.loops > 1:
        words.append(t("place.loop", loop=head.loop + 1))
    return " · ".join(words)
