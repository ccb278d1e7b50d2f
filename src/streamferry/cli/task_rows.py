"""Parts of a task as lines for people: what is on air, destinations, windows that recur. See ``task_tables``."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from streamferry.cli.time_arguments import show_time
from streamferry.media.url import readable


def about(switch: Mapping[str, Any]) -> str:
    """Why something is on air, with the inserted file that this is about."""
    return " ".join(filter(None, [switch["reason"], switch.get("file")]))


def air_rows(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Further inputs, the slate, which of them is on air and why, and what the content is watched for."""
    inputs, slate = task.get("inputs") or [], task.get("slate")
    if (on_air := task["run"].get("on_air")) is not None:
        shown = on_air["shown"] if on_air["input"] is None else f"input {on_air['input']}"
        yield "on air", f"{shown}, since {time_of(on_air['since_at'], seconds=True)}: {about(on_air)}"
    for one in task["run"].get("unready") or []:
        name = "slate" if one["input"] == "slate" else f"input {one['input']}"
        yield "not ready", f"{name}: {one['reason']}"
    if (pinned := task.get("pinned")) is not None:
        yield "by hand", "slate" if pinned == "slate" else f"input {pinned}"
    for number, one in enumerate(inputs, 1):
        words = [", ".join(source_of(source) for source in one["sources"]), *(["warm"] if one["warm"] else [])]
        words += [f"{name.replace('_', ' ')}: {told(value)}" for name, value in one.get("options", {}).items()]
        yield f"input {number}", "; ".join(words)
    if slate is not None:
        yield "slate", "  ".join(filter(None, [slate["kind"], slate["title"], slate["text"], slate["clip"]]))
    if inputs or slate is not None:
        rules = task["switching"]
        back = f"back after {rules['return_after_s']:g} s" if rules["returns"] else "back by hand"
        form = "" if rules["normalize"] == "copy" else f", one form: {rules['normalize']}"
        yield "switches", f"after {rules['switch_after_s']:g} s, {back}{form}"
    for fault, rule in (task.get("watch") or {}).items():
        act = ", switches" if rule["switches"] else ""
        yield f"watch {fault.replace('_', ' ')}", f"{rule['threshold']:g} for {rule['duration_s']:g} s{act}"


def content_of(task: Mapping[str, Any]) -> str:
    """What is wrong with the content that it sends, and what cannot be watched. A service of an older version does not
    say."""
    run = task["run"]
    told = [*(run.get("found") or []), *(run.get("unseen") or [])] if run["state"] == "streaming" else []
    return ", ".join(one["reason"] for one in told)


def destination_rows(destinations: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each of several: its name, where to, and how it is doing. None for one."""
    if len(destinations) < 2:
        return []
    rows = []
    for one in destinations:
        run = one["run"] or {}
        words = [one["name"], one["to"], run.get("state", "") if one["enabled"] else "off"]
        if run:
            words += [f"{run['kbps_out']} kbps", f"retries {run['retries']}", run["reason"] or ""]
        rows.append((f"destination {one['id']}", "  ".join(word for word in words if word)))
    return rows


def insert_of(insert: Mapping[str, Any]) -> str:
    """A file that waits, and for what."""
    return f"{source_of(insert)}, {time_of(insert['at'], seconds=True) if insert['at'] else 'after the present item'}"


def series_rows(series: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """How its windows recur, if they do."""
    if series is not None:
        yield "recurs", f"{series['rule']}, by the clocks of {series['time_zone']}"
        yield "except", ", ".join(series["exdates"])
        yield "also", ", ".join(series["rdates"])
        if series.get("slate_between"):
            yield "between", "the slate"


def source_of(source: Mapping[str, Any]) -> str:
    """One address, with its offsets."""
    start = f" from {source['start_s']:g} s" if source["start_s"] else ""
    end = f" to {source['end_s']:g} s" if source["end_s"] else ""
    return f"{named_source(source['url'])}{start}{end}"


def named_source(url: str) -> str:
    """A file by its plain path, anything else by its address."""
    return readable(url.removeprefix("file://")) if url.startswith("file:///") else url


def time_of(text: str, *, seconds: bool = False) -> str:
    """A time of REST, by the clock of this machine."""
    return show_time(datetime.fromisoformat(text), seconds=seconds)


def told(value: str | int | Mapping[str, str]) -> str:
    """The value of an option."""
    if isinstance(value, bool | int):
        return "yes" if value is True else str(value)
    return value if isinstance(value, str) else ", ".join(f"{name}: {one}" for name, one in value.items())
