"""``streamferry task``: tasks of a running service, over its REST API.

Exit status: 0 done, 2 what was asked is wrong or refused, 5 the service cannot be asked.
"""

import base64
import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from streamferry.cli.options import DEFAULT_POSITION, DEFAULT_RATIO, ExitStatus
from streamferry.cli.times import read_time

if TYPE_CHECKING:
    from streamferry.cli.rest import RestClient

task = typer.Typer(help="Create, look at and steer the tasks of a running service.", no_args_is_help=True)

DEFAULT_URL = "http://127.0.0.1:8080"
_LIVE_SCHEMES = ("rtmp", "rtmps", "rtsp", "rtsps", "srt", "udp")
_LIVE_NAMES = (".flv", ".m3u8")

Url = Annotated[
    str,
    typer.Option("--url", envvar="STREAMFERRY_URL", show_envvar=True, help="Address of the service."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
        body = _read_json(from_json)
        body |= _fields(title, loops, continue_at, predownload, callback, to)
        body |= _mark(watermark, watermark_pos, watermark_ratio)
        if group is not None:
            body["group"] = group
        if source:
            body |= _sources(source, live, offset, end_offset)
        body |= _window(start or (None if "start_at" in body else "now"), end, body)
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
        body = _read_json(from_json) | _fields(title, loops, continue_at, predownload, callback, to)
        body |= {"watermark": None} if no_watermark else _mark(watermark, watermark_pos, watermark_ratio)
        present = service.call("GET", f"/tasks/{task_id}") if offset or end_offset or start or end else {}
        if source:
            body |= _sources(source, live, offset, end_offset)
        elif offset or end_offset:
            body |= {"sources": _spread([one["url"] for one in present["sources"]], offset, end_offset)}
        body |= _window(start, end, present | body)
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
            typer.echo(json.dumps(found, ensure_ascii=False))
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


@task.command()
def restart(task_ids: TaskIds, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The same as continue."""
    _ask("restart", task_ids, url, as_json)


@task.command()
def relaunch(task_ids: TaskIds, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Begin tasks at their beginning, whatever they do now."""
    _ask("relaunch", task_ids, url, as_json)


@task.command()
def delete(
    task_ids: TaskIds,
    url: Url = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
) -> None:
    """Delete tasks; what runs is stopped."""
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {len(task_ids)} task{'s' * (len(task_ids) > 1)}?", abort=True)
    with _session(url) as service:
        for task_id in task_ids:
            service.call("DELETE", f"/tasks/{task_id}")
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
            typer.echo(json.dumps(event, ensure_ascii=False))
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
                typer.echo(json.dumps(changed, ensure_ascii=False))
            else:
                show_done([changed])


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
        typer.echo(json.dumps(shown, ensure_ascii=False))
    elif line is not None and not sys.stdout.isatty():
        typer.echo(line)
    else:
        show_task(shown)


def _fields(
    title: str | None,
    loops: int | None,
    continue_at: str | None,
    predownload: bool | None,
    callback: str | None,
    to: str | None,
) -> dict[str, Any]:
    strategies = {None: None, "break": "at_break", "elapsed": "at_break_plus_elapsed"}
    if continue_at not in strategies:
        raise ValueError("--continue: must be break or elapsed")
    given = {
        "title": title,
        "loops": loops,
        "continue_strategy": strategies[continue_at],
        "pre_download": predownload,
        "callback_url": callback,
        "destination": to,
    }
    return {name: value for name, value in given.items() if value is not None}


def _sources(
    sources: list[str], live: bool | None, offsets: list[float] | None, ends: list[float] | None
) -> dict[str, Any]:
    urls = [text if "://" in text else Path(text.removeprefix("file:")).absolute().as_uri() for text in sources]
    if live is None:
        parts = urlsplit(urls[0])
        live = len(urls) == 1 and (parts.scheme in _LIVE_SCHEMES or parts.path.endswith(_LIVE_NAMES))
    return {"kind": "live" if live else "vod", "sources": _spread(urls, offsets, ends)}


def _spread(urls: list[str], offsets: list[float] | None, ends: list[float] | None) -> list[dict[str, Any]]:
    """Each address with its offsets; one that is given once counts for all."""
    spread: dict[str, list[float]] = {}
    for option, values in (("--offset", offsets or [0.0]), ("--end-offset", ends or [0.0])):
        if len(values) not in (1, len(urls)):
            raise ValueError(f"{option}: give it once, or once for each of the {len(urls)} files")
        spread[option] = values * len(urls) if len(values) == 1 else values
    return [
        {"url": url, "start_s": start_s, "end_s": end_s}
        for url, start_s, end_s in zip(urls, spread["--offset"], spread["--end-offset"], strict=True)
    ]


def _window(start: str | None, end: str | None, known: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    given: dict[str, Any] = {}
    start_at = read_time("start_at", str(known["start_at"]), now) if known.get("start_at") else now
    if start is not None:
        start_at = read_time("--start", start, now)
        given["start_at"] = start_at.isoformat()
    if end is not None:
        given["end_at"] = read_time("--end", end, start_at).isoformat()
    return given


def _mark(path: Path | None, position: str, ratio: float) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        x, y = (float(part) for part in position.split(","))
    except ValueError:
        raise ValueError("--watermark-pos: must be two numbers, X,Y") from None
    try:
        picture = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise ValueError(f"--watermark: {path} cannot be read ({error.strerror})") from None
    # The service looks at the bytes: the type is only for the form.
    return {"watermark": {"picture": f"data:image/png;base64,{picture}", "x": x, "y": y, "ratio": ratio}}


def _read_json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        body = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text())
    except OSError as error:
        raise ValueError(f"--from-json: {path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise ValueError(f"--from-json: {path} is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError(f"--from-json: {path} must hold a JSON object")
    return body
