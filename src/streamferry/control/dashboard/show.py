"""Values as a person reads them: rates, spans, sizes, and what a task is doing in one word. Pure."""

from streamferry.control.dashboard.texts import Translate
from streamferry.control.dashboard.texts.reasons import Reasons
from streamferry.control.rest.views import Status, TaskView
from streamferry.relay import State

#: States in which somebody should look, the worst first.
TROUBLE = (State.FAILED, State.STALLED, State.RETRYING)
UNKNOWN = "–"


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
    """A place in a file, to the millisecond where it is not a whole second."""
    rest = f"{seconds % 1:.3f}"[1:].rstrip("0").rstrip(".")
    return span(seconds) + rest


def drift(seconds: float | None) -> str:
    """How far a clock has run ahead (with a minus: behind)."""
    return UNKNOWN if seconds is None else f"{seconds:+.2f} s"


def size(count: float) -> str:
    """Bytes, in the unit in which they are few."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def state_of(task: TaskView) -> State:
    """What a task does: a stopped or ended one is that, whatever its last run said."""
    if task.status is Status.DISABLED:
        return State.STOPPED
    if task.status is Status.ENDED:
        return State.ENDED
    return task.run.state


def title_of(task: TaskView, t: Translate) -> str:
    """The title, or what stands for it."""
    return task.title or t("task.untitled", id=task.task_id[:8])


def problem_of(task: TaskView, t: Translate, reasons: Reasons) -> str:
    """Why it does not stream, if something keeps it from it."""
    if state_of(task) not in TROUBLE:
        return ""
    fault = t(f"fault.{task.run.fault.value}") if task.run.fault else ""
    return " — ".join(part for part in (fault, reasons(task.run.reason or "")) if part)


def place_of(task: TaskView, t: Translate) -> str:
    """Where its list stands, in words that count from 1."""
    head = task.run.playhead
    if head is None:
        return ""
    words = [t("place.item", item=head.item + 1, items=len(task.sources))] if len(task.sources) > 1 else []
    words.append(span(head.position_s))
    if task.loops == -1 or task.loops > 1:
        words.append(t("place.loop", loop=head.loop + 1))
    return " · ".join(words)
