"""``streamferry task``: tasks of a running service, over its REST API.

Exit status: 0 done, 2 what was asked is wrong or refused, 5 the service cannot be asked.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamferry.cli.options import DEFAULT_POSITION, DEFAULT_RATIO, AsJson, ExitStatus
from streamferry.cli.task_body import (
    plain_fields,
    read_body,
    source_fields,
    spread_offsets,
    watermark_field,
    window_fields,
)

if TYPE_CHECKING:
    from streamferry.cli.rest import RestClient

task = typer.Typer(help="Create, look at and steer the tasks of a running service.", no_args_is_help=True)

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[
    str,
    typer.Option("--url", envvar="STREAMFERRY_URL", show_envvar=True, help="Address of the service."),
]
TaskId = Annotated[str, typer.Argument(help="Its id.", show_default=False)]
TaskIds = Annotated[list[str], typer.Argument(metavar="TASK_ID...", help="Ids.", show_default=False)]
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
# Not from the environment: a change of something else would move the stream as well.
NewTo = Annotated[str | None, typer.Option("--to", show_default=False, help="Address to push to from now on.")]
Start = Annotated[str | None, typer.Option(help="now, +10m or 2026-01-31T20:00.", show_default=False)]
End = Annotated[str | None, typer.Option(help="A time, or +2h: after the start.", show_default=False)]
Title = Annotated[str | None, typer.Option(help="1 to 20 letters, digits and Chinese.", show_default=False)]
Live = Annotated[
    bool | None, typer.Option("--live/--vod", show_default=False, help="What the source is; else its name decides.")
]
Loops = Annotated[int | None, typer.Option(help="How often the list is played; -1: without end.", show_default=False)]
Offsets = Annotated[
    list[float] | None, typer.Option("--offset", help="Start of each file in seconds: once, or once a file.")
]
EndOffsets = Annotated[list[float] | None, typer.Option("--end-offset", help="End of each file; 0 is its end.")]
Strategy = Annotated[
    str | None,
    typer.Option("--continue", metavar="break|elapsed", help="Where a list goes on after a break.", show_default=False),
]
PreDownload = Annotated[
    bool | None, typer.Option("--predownload/--no-predownload", help="Keep prepared files.", show_default=False)
]
Callback = Annotated[str | None, typer.Option("--callback", help="http(s) address to tell.", show_default=False)]
MarkFile = Annotated[Path | None, typer.Option("--watermark", help="PNG or JPEG to lay over.", show_default=False)]
MarkPosition = Annotated[str, typer.Option("--watermark-pos", metavar="X,Y", help="Its top left corner, in parts.")]
MarkRatio = Annotated[float, typer.Option("--watermark-ratio", help="Its width, as a part of the picture's.")]
FromJson = Annotated[
    Path | None,
    typer.Option("--from-json", help="File with a body of REST, - for standard input; options come over it."),
]


@task.command()
def create(
    source: Sources = None,
    to: To = None,
    start: Start = None,
    end: End = None,
    title: Title = None,
    group: Annotated[str | None, typer.Option(help="Its group.", show_default=False)] = None,
    live: Live = None,
    loops: Loops = None,
    offset: Offsets = None,
    end_offset: EndOffsets = None,
    continue_at: Strategy = None,
    predownload: PreDownload = None,
    callback: Callback = None,
    watermark: MarkFile = None,
    watermark_pos: MarkPosition = DEFAULT_POSITION,
    watermark_ratio: MarkRatio = DEFAULT_RATIO,
    from_json: FromJson = None,
    check: Annotated[bool, typer.Option("--check", help="Only ask whether it could be created.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Create a task. It starts at its time; without --start at once."""
    with _session(url) as service:
        body = read_body(from_json)
        body |= plain_fields(title, loops, continue_at, predownload, callback, to)
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
        _print(made, as_json, made["task_id"])


@task.command()
def update(
    task_id: TaskId,
    source: Sources = None,
    to: NewTo = None,
    start: Start = None,
    end: End = None,
    title: Title = None,
    live: Live = None,
    loops: Loops = None,
    offset: Offsets = None,
    end_offset: EndOffsets = None,
    continue_at: Strategy = None,
    predownload: PreDownload = None,
    callback: Callback = None,
    watermark: MarkFile = None,
    watermark_pos: MarkPosition = DEFAULT_POSITION,
    watermark_ratio: MarkRatio = DEFAULT_RATIO,
    no_watermark: Annotated[bool, typer.Option("--no-watermark", help="Take the watermark away.")] = False,
    from_json: FromJson = None,
    version: Annotated[
        int | None, typer.Option(help="Change it only if it still has this version.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change what is given of a task; an empty --title or --callback takes it away."""
    with _session(url) as service:
        body = read_body(from_json) | plain_fields(title, loops, continue_at, predownload, callback, to)
        body |= {"watermark": None} if no_watermark else watermark_field(watermark, watermark_pos, watermark_ratio)
        present = service.call("GET", f"/tasks/{task_id}") if offset or end_offset or start or end else {}
        if source:
            body |= source_fields(source, live, offset, end_offset)
        elif offset or end_offset:
            body |= {"sources": spread_offsets([one["url"] for one in present["sources"]], offset, end_offset)}
        body |= window_fields(start, end, present | body)
        if not body:
            raise ValueError("nothing was given to change")
        changed = service.call("PATCH", f"/tasks/{task_id}", body, version=version)
        _print(changed, as_json)


@task.command("list")
def show_list(
    title: Annotated[str, typer.Option(help="Part of the title.")] = "",
    group: Annotated[list[str] | None, typer.Option(help="Repeat for more.", show_default=False)] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="disabled, not_started, active or ended. Repeat for more.", show_default=False),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Of the run: streaming, retrying and so on. Repeat for more.", show_default=False),
    ] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    from streamferry.cli.task_tables import show_tasks

    with _session(url) as service:
        query = {"title": title, "group": group, "status": status, "state": state, "page": page, "size": size}
        found = service.call("GET", "/tasks", query=query)
        if as_json:
            _print_json(found)
        else:
            show_tasks(found)


@task.command()
def show(task_id: TaskId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one task."""
    with _session(url) as service:
        _print(service.call("GET", f"/tasks/{task_id}"), as_json)


@task.command()
def stop(task_ids: TaskIds, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Stop tasks; a list keeps its place."""
    _ask("stop", task_ids, url, as_json)


@task.command("continue")
def go_on(task_ids: TaskIds, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Continue stopped tasks where they broke."""
    _ask("continue", task_ids, url, as_json)


@task.command("start-over")
def start_over(task_ids: TaskIds, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Play tasks from their beginning, whatever they do now."""
    _ask("start_over", task_ids, url, as_json)


# As these were called before, and as the cloud's API calls them.
task.command("restart", hidden=True)(go_on)
task.command("relaunch", hidden=True)(start_over)


@task.command()
def delete(
    task_ids: TaskIds,
    url: Url = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete tasks; what runs is stopped."""
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {len(task_ids)} task{'s' * (len(task_ids) > 1)}?", abort=True)
    with _session(url) as service:
        for task_id in task_ids:
            service.call("DELETE", f"/tasks/{task_id}")
            if as_json:
                _print_json({"task_id": task_id, "deleted": True})
            else:
                typer.echo(f"{task_id}  deleted")


@task.command()
def events(
    task_id: Annotated[str | None, typer.Argument(help="Of one task; else of all.", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    after: Annotated[
        int | None, typer.Option(help="Behind this event's id; with --follow else from now on.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show what happened, oldest first."""
    from streamferry.cli.task_tables import console, show_event

    out = console()

    def tell(event: dict[str, Any]) -> None:
        if as_json:
            _print_json(event)
        else:
            show_event(event, out, with_task=task_id is None)

    with _session(url) as service, contextlib.suppress(KeyboardInterrupt):
        if follow:
            for event in service.follow(task_id, after):
                tell(event)
            return
        page = service.call("GET", "/events", query={"task_id": task_id, "after": after, "limit": limit})
        for event in page["events"]:
            tell(event)


def _ask(verb: str, task_ids: list[str], url: str, as_json: bool) -> None:
    from streamferry.cli.task_tables import show_done

    with _session(url) as service:
        for task_id in task_ids:
            changed = service.call("POST", f"/tasks/{task_id}/{verb}")
            if as_json:
                _print_json(changed)
            else:
                show_done(changed)


@contextlib.contextmanager
def _session(url: str) -> Iterator["RestClient"]:
    """A client; what goes wrong ends the command with a sentence and a status."""
    from streamferry.cli.rest import Refused, RestClient, find_credentials
    from streamferry.client.errors import ClientError

    try:
        with RestClient(url, find_credentials()) as client:
            yield client
        return
    except Refused as refused:
        words = str(refused)
        status = ExitStatus.USAGE if 400 <= refused.status < 500 else ExitStatus.SERVICE
    except (ValueError, ClientError) as error:
        words, status = str(error), ExitStatus.USAGE
    typer.echo(f"streamferry task: {words}", err=True)
    raise typer.Exit(status)


def _print(shown: dict[str, Any], as_json: bool, line: str | None = None) -> None:
    """As JSON, as the line alone where nobody looks (for scripts), or as a table."""
    from streamferry.cli.task_tables import show_task

    if as_json:
        _print_json(shown)
    elif line is not None and not sys.stdout.isatty():
        typer.echo(line)
    else:
        show_task(shown)


def _print_json(shown: object) -> None:
    typer.echo(json.dumps(shown, ensure_ascii=False))
