"""``streamferry task``: tasks of a running service, over its REST API.

Exit status: 0 done, 2 the request is wrong or refused, 5 the service cannot be reached.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streamferry.cli.input_peers import give_input_options, takes_input_peers
from streamferry.cli.options import DEFAULT_POSITION, DEFAULT_RATIO, AsJson, check_codecs
from streamferry.cli.peer_arguments import peer_fields, takes_peers
from streamferry.cli.series_options import series_field, takes_series
from streamferry.cli.task_air import air_fields, cancel_insert, insert, skip, switch, takes_air
from streamferry.cli.task_body import (
    check_latency,
    destination_field,
    plain_fields,
    read_body,
    source_fields,
    spread_offsets,
    watermark_field,
    window_fields,
)
from streamferry.cli.task_destinations import add_destination, change_destination, remove_destination
from streamferry.cli.task_look import events, show, show_list, watch
from streamferry.cli.task_schedule import show_as_run, show_calendar, show_schedule
from streamferry.cli.task_session import (
    DEFAULT_URL,
    TaskName,
    TaskNames,
    Url,
    find_task,
    find_tasks,
    print_json,
    print_task,
    session,
)
from streamferry.cli.text_options import takes_texts

task = typer.Typer(help="Create, watch and control the tasks of a running service.", no_args_is_help=True)

#: How many tasks are named in the question whether to delete them.
_NAMED = 5
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", help="Address, or a file on the service's machine. Repeat for a list.", show_default=False
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        envvar="STREAMFERRY_TO",
        show_envvar=True,
        show_default=False,
        help="Address to push to. In the environment it stays out of the process list.",
    ),
]
# Not from the environment: any other change would then move the stream as well.
NewTo = Annotated[str | None, typer.Option("--to", show_default=False, help="Address to push to from now on.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="STREAMFERRY_KEY",
        show_envvar=True,
        show_default=False,
        help="Stream key, where a platform shows it apart: --to is the server then.",
    ),
]
NewKey = Annotated[str | None, typer.Option("--key", show_default=False, help="Stream key, if --to is only a server.")]
Start = Annotated[str | None, typer.Option(help="now, +10m or 2026-01-31T20:00.", show_default=False)]
End = Annotated[str | None, typer.Option(help="A time, +2h (after the start) or never.", show_default=False)]
Title = Annotated[str | None, typer.Option(help="1 to 20 letters, digits and Chinese.", show_default=False)]
Live = Annotated[
    bool | None, typer.Option("--live/--vod", show_default=False, help="What the source is; else its name decides.")
]
Loops = Annotated[int | None, typer.Option(help="How often the list is played; -1: without end.", show_default=False)]
Offsets = Annotated[
    list[float] | None, typer.Option("--offset", help="Start of each file in seconds: once, or once per file.")
]
EndOffsets = Annotated[list[float] | None, typer.Option("--end-offset", help="End of each file; 0 is its end.")]
Strategy = Annotated[
    str | None,
    typer.Option("--continue", metavar="break|elapsed", help="Where a list resumes after a break.", show_default=False),
]
PreDownload = Annotated[
    bool | None, typer.Option("--predownload/--no-predownload", help="Keep prepared files.", show_default=False)
]
LatencyClass = Annotated[
    str | None,
    typer.Option(
        "--latency", metavar="low|normal|dense", help="Of a live source; dense costs least.", show_default=False
    ),
]
CodecsTaken = Annotated[
    str | None,
    typer.Option(
        "--codecs",
        metavar="any|h264|h264_if_needed",
        help="What the destination is sent; h264 encodes to H.264 and AAC all else, h264_if_needed what it does not "
        "say that it takes.",
        show_default=False,
    ),
]
Placement = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="NAME=VALUE", help="Label its worker must have; repeat for more.", show_default=False),
]
NewPlacement = Annotated[
    list[str] | None,
    typer.Option(
        "--on", metavar="NAME=VALUE", help="Label that its worker needs from now on; empty: none.", show_default=False
    ),
]
Priority = Annotated[
    int | None, typer.Option(help="-100 to 100: more is taken first if there is not room for all.", show_default=False)
]
Callback = Annotated[str | None, typer.Option("--callback", help="http(s) address for callbacks.", show_default=False)]
MarkFile = Annotated[Path | None, typer.Option("--watermark", help="PNG or JPEG to lay over.", show_default=False)]
MarkPosition = Annotated[str, typer.Option("--watermark-pos", metavar="X,Y", help="Its top left corner, as fractions.")]
MarkRatio = Annotated[float, typer.Option("--watermark-ratio", help="Its width, as a fraction of the picture's.")]
FromJson = Annotated[
    Path | None,
    typer.Option("--from-json", help="File with a body of REST, - for standard input; options override it."),
]


@task.command()
@takes_texts
@takes_series
@takes_air
@takes_input_peers
@takes_peers
def create(
    source: Sources = None,
    to: To = None,
    key: Key = None,
    start: Start = None,
    end: End = None,
    title: Title = None,
    group: Annotated[str | None, typer.Option(help="Its group (streamferry group).", show_default=False)] = None,
    live: Live = None,
    loops: Loops = None,
    offset: Offsets = None,
    end_offset: EndOffsets = None,
    continue_at: Strategy = None,
    predownload: PreDownload = None,
    latency: LatencyClass = None,
    codecs: CodecsTaken = None,
    on: Placement = None,
    priority: Priority = None,
    callback: Callback = None,
    watermark: MarkFile = None,
    watermark_pos: MarkPosition = DEFAULT_POSITION,
    watermark_ratio: MarkRatio = DEFAULT_RATIO,
    from_json: FromJson = None,
    check: Annotated[bool, typer.Option("--check", help="Only check whether it could be created.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    **texts: Any,
) -> None:
    """Create a task. It starts at its start time; without --start at once."""
    with session(url) as service:
        body = read_body(from_json)
        body |= series_field(texts, body.get("series"))
        texts |= {"latency": check_latency(latency), "codecs": check_codecs(codecs)}
        texts |= {"placement": [one for one in on if one] if on else None, "priority": priority}
        body |= air_fields(texts)
        give_input_options(texts, body, {})
        for end, told in peer_fields(texts).items():
            body[end] = {**(body.get(end) or {}), **told}
        body |= plain_fields(
            continue_at, predownload, callback, destination_field(to, key), title=title, loops=loops, **texts
        )
        body |= watermark_field(watermark, watermark_pos, watermark_ratio)
        if group is not None:
            body["group"] = group
        if source:
            body |= source_fields(source, live, offset, end_offset)
        body |= window_fields(start or (None if "start_at" in body else "now"), end, body)
        for name, option in (("sources", "--source"), ("destination", "--to"), ("end_at", "--end")):
            if name not in body:
                raise ValueError(f"{option}: is required")
        if check:
            service.call("POST", "/tasks/validate", body)
            typer.echo("it could be created")
            return
        made = service.call("POST", "/tasks", body)
        print_task(made, as_json, made["task_id"])


@task.command()
@takes_texts
@takes_series
@takes_air
@takes_input_peers
@partial(takes_peers, environment=False)
def update(
    task_id: TaskName,
    source: Sources = None,
    to: NewTo = None,
    key: NewKey = None,
    start: Start = None,
    end: End = None,
    title: Title = None,
    live: Live = None,
    loops: Loops = None,
    offset: Offsets = None,
    end_offset: EndOffsets = None,
    continue_at: Strategy = None,
    predownload: PreDownload = None,
    latency: LatencyClass = None,
    codecs: CodecsTaken = None,
    on: NewPlacement = None,
    priority: Priority = None,
    callback: Callback = None,
    watermark: MarkFile = None,
    watermark_pos: MarkPosition = DEFAULT_POSITION,
    watermark_ratio: MarkRatio = DEFAULT_RATIO,
    no_watermark: Annotated[bool, typer.Option("--no-watermark", help="Remove the watermark.")] = False,
    from_json: FromJson = None,
    version: Annotated[
        int | None, typer.Option(help="Change it only if it still has this version.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    **texts: Any,
) -> None:
    """Change what is given of a task; an empty --title or --callback, or text for people, clears it."""
    with session(url) as service:
        task_id = find_task(service, task_id)
        body = read_body(from_json)
        present = service.get_task(task_id)
        body |= series_field(texts, body.get("series", present.get("series")))
        texts |= {"latency": check_latency(latency), "codecs": check_codecs(codecs)}
        texts |= {"placement": [one for one in on if one] if on else None, "priority": priority}
        body |= air_fields(texts)
        give_input_options(texts, body, present)
        for end, told in peer_fields(texts).items():
            body[end] = {**(body.get(end) or {}), **told}
        body |= plain_fields(
            continue_at, predownload, callback, destination_field(to, key), title=title, loops=loops, **texts
        )
        body |= {"watermark": None} if no_watermark else watermark_field(watermark, watermark_pos, watermark_ratio)
        if source:
            body |= source_fields(source, live, offset, end_offset)
        elif offset or end_offset:
            body |= {"sources": spread_offsets([one["url"] for one in present["sources"]], offset, end_offset)}
        body |= window_fields(start, end, present | body)
        if not body:
            raise ValueError("nothing was given to change")
        changed = service.call("PATCH", f"/tasks/{task_id}", body, version=version)
        print_task(changed, as_json)


task.command("add-destination")(add_destination)
task.command("change-destination")(change_destination)
task.command("remove-destination")(remove_destination)
task.command("list")(show_list)
task.command()(watch)
task.command()(show)
task.command()(events)
task.command()(switch)
task.command()(insert)
task.command("cancel-insert")(cancel_insert)
task.command()(skip)
task.command("schedule")(show_schedule)
task.command("as-run")(show_as_run)
task.command("calendar")(show_calendar)


@task.command()
def stop(task_ids: TaskNames, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Stop tasks; a list keeps its position."""
    _ask("stop", task_ids, url, as_json)


@task.command("continue")
def go_on(task_ids: TaskNames, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Continue stopped tasks where they stopped."""
    _ask("continue", task_ids, url, as_json)


@task.command("start-over")
def start_over(task_ids: TaskNames, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Play tasks from their beginning, whatever they are doing now."""
    _ask("start_over", task_ids, url, as_json)


# The older names of these commands, and the cloud's.
task.command("restart", hidden=True)(go_on)
task.command("relaunch", hidden=True)(start_over)


@task.command()
def delete(
    task_ids: TaskNames,
    url: Url = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete tasks; running ones are stopped."""
    with session(url) as service:
        found = find_tasks(service, task_ids)
        if not yes and sys.stdin.isatty():
            names = ", ".join(_name(service.get_task(one)) for one in found[:_NAMED])
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            typer.confirm(f"Delete {names}{more}?", abort=True)
        for task_id in found:
            service.delete_task(task_id)
            if as_json:
                print_json({"task_id": task_id, "deleted": True})
            else:
                typer.echo(f"{task_id}  deleted")


def _name(shown: Mapping[str, Any]) -> str:
    """The name of a task in a question: enough to recognise it."""
    from streamferry.cli.task_tables import state_of

    return f"{shown['title'] or 'the task'} ({shown['task_id'][:8]}, {state_of(shown)})"


def _ask(verb: str, task_ids: list[str], url: str, as_json: bool) -> None:
    from streamferry.cli.task_tables import show_done

    with session(url) as service:
        for task_id in find_tasks(service, task_ids):
            changed = service.call("POST", f"/tasks/{task_id}/{verb}")
            if as_json:
                print_json(changed)
            else:
                show_done(changed)
