"""What a list of tasks says of one that streams, and is not as it should be all the same."""

from streamferry.relay import State
from streamferry.web.dashboard.air_view import name_of
from streamferry.web.dashboard.show import found_in, state_of, unseen_in
from streamferry.web.dashboard.texts import Translate
from streamferry.web.views import TaskView


def badges_of(task: TaskView, t: Translate) -> list[str]:
    """What is wrong with its content, or cannot be watched of it; what is on air instead of the source, and which
    inputs could not be; destinations that get nothing."""
    if state_of(task) is not State.STREAMING:
        return []
    told = [t(f"content.{one.fault}") for one in found_in(task)]
    told += [t(f"content.unseen_{one.sense}") for one in unseen_in(task)]
    on_air = task.run.on_air
    if on_air is not None and on_air.input != 0:
        shown = str(on_air.shown)
        name = name_of(on_air.input, t) if on_air.input is not None else t(f"air.{shown}")
        told.append(t("air.badge", name=name))
    if task.run.unready:
        told.append(t("air.unready", names=", ".join(name_of(one.input, t) for one in task.run.unready)))
    wanted = [one for one in task.destinations if one.enabled and one.run is not None]
    if missing := [one for one in wanted if one.run is not None and one.run.state is not State.STREAMING]:
        told.append(t("destinations.badge", count=len(missing), all=len(wanted)))
    return told
