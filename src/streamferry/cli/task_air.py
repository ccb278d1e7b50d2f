"""What is on air: the options of ``task create`` and ``update`` for further inputs and a slate; ``task switch``,
``insert``, ``cancel-insert`` and ``skip``."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamferry.cli.added_options import add_options
from streamferry.cli.options import AsJson
from streamferry.cli.task_body import source_fields
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
from streamferry.cli.time_arguments import read_time
from streamferry.cli.watch_option import MoreOrNone, read_rule

_PICTURES = (".png", ".jpg", ".jpeg")
_OPTIONS: dict[str, Any] = {
    "more_inputs": Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            show_default=False,
            help="What is shown when the source sends nothing; repeat for more, in order. `none` removes all.",
        ),
    ],
    "warm": Annotated[
        bool, typer.Option("--warm", help="Pull its live inputs all the time, so that they are on air at once.")
    ],
    "slate": Annotated[
        str | None,
        typer.Option(
            "--slate",
            metavar="TEXT|#RRGGBB|FILE",
            show_default=False,
            help="What is shown when no input sends anything: a card with this title, a colour, a PNG or JPEG of this "
            "machine, last_frame, or the address of a clip. `none` removes it.",
        ),
    ],
    "slate_text": Annotated[
        str | None,
        typer.Option(
            "--slate-text", show_default=False, help="Text below the title of the card; {clock ZONE} shows the time."
        ),
    ],
    "switch_after": Annotated[
        float | None,
        typer.Option(show_default=False, help="An input is down after so many seconds without media; else 3."),
    ],
    "watch": MoreOrNone,
    "return_after": Annotated[
        float | None,
        typer.Option(show_default=False, help="A preferred input is shown again after so many good seconds; else 30."),
    ],
    "returns": Annotated[
        bool | None,
        typer.Option(
            "--return/--no-return",
            show_default=False,
            help="Show a preferred input again by itself, as by default, or only when you ask for it.",
        ),
    ],
    "one_form": Annotated[
        str | None,
        typer.Option(
            metavar="copy|first|WxH",
            show_default=False,
            help="Encode inputs that differ to the form of the first on air, or to a size; else copy.",
        ),
    ],
}


def takes_air(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, for its parameter ``**texts``."""
    return add_options(command, _OPTIONS, warm=False)


def air_fields(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take these options out of the arguments of a command; as fields of REST. Raises ValueError naming the option."""
    addresses, warm = arguments.pop("more_inputs", None), arguments.pop("warm", False)
    slate, text = arguments.pop("slate", None), arguments.pop("slate_text", None)
    rules = {
        "switch_after_s": arguments.pop("switch_after", None),
        "return_after_s": arguments.pop("return_after", None),
        "returns": arguments.pop("returns", None),
        "normalize": arguments.pop("one_form", None),
    }
    fields: dict[str, Any] = {}
    if watch := arguments.pop("watch", None):
        fields["watch"] = {} if watch == ["none"] else dict(read_rule(one) for one in watch)
    if addresses:
        fields["inputs"] = [] if addresses == ["none"] else [_input(address, warm) for address in addresses]
    if slate is not None:
        fields["slate"] = None if slate == "none" else _slate(slate)
    if text is not None:
        if slate == "none":
            raise ValueError("--slate-text: without a slate there is nothing to show it on")
        fields["slate"] = {**(fields.get("slate") or {}), "text": text}
    if told := {name: value for name, value in rules.items() if value is not None}:
        fields["switching"] = told
    return fields


def _input(address: str, warm: bool) -> dict[str, Any]:
    made = source_fields([address], None, None, None)
    return {**made, "warm": warm} if made["kind"] == "live" else made


def _slate(text: str) -> dict[str, Any]:
    if text == "last_frame":
        return {"kind": "last_frame"}
    if text.startswith("#"):
        return {"kind": "color", "color": text}
    if text.lower().endswith(_PICTURES):
        try:
            picture = base64.b64encode(Path(text).read_bytes()).decode()
        except OSError as error:
            raise ValueError(f"--slate: {text} cannot be read ({error.strerror})") from None
        return {"kind": "picture", "picture": f"data:image/png;base64,{picture}"}
    if text.startswith(("http://", "https://", "file:", "/")):
        return {"kind": "clip", "clip": text}
    return {"kind": "card", "title": text}


def switch(
    task_id: TaskName,
    to: Annotated[
        str, typer.Argument(metavar="NUMBER|slate|auto", help="Input, from 0, the source; auto: by the rules.")
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show another input of a task, or its slate, from now on."""
    if to not in ("slate", "auto") and not to.isdecimal():
        raise typer.BadParameter("must be the number of an input, slate or auto", param_hint="NUMBER")
    with session(url) as service:
        which: int | Literal["slate"] | None = None if to == "auto" else "slate" if to == "slate" else int(to)
        print_task(service.switch_input(find_task(service, task_id), which), as_json)


def insert(
    task_id: TaskName,
    file: Annotated[str, typer.Argument(help="Address, or a file on the service's machine.", show_default=False)],
    at: Annotated[
        str | None, typer.Option(help="When: +10m or 2026-01-31T20:00; else now.", show_default=False)
    ] = None,
    after_item: Annotated[
        bool, typer.Option("--next", help="After the present item of the list, instead of at a time.")
    ] = False,
    offset: Annotated[float, typer.Option(help="Start of the file in seconds.")] = 0.0,
    end_offset: Annotated[float, typer.Option(help="Its end, in seconds from its start; 0 is its end.")] = 0.0,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Play a file over what is on air of a task, then go on."""
    with session(url) as service:
        body = source_fields([file], False, [offset], [end_offset])["sources"][0]
        if at is not None:
            body["at"] = read_time("--at", at, datetime.now(UTC)).isoformat()
        if after_item:
            body["after_item"] = True
        print_task(service.call("POST", f"/tasks/{find_task(service, task_id)}/insert", body), as_json)


def cancel_insert(
    task_id: TaskName,
    number: Annotated[int, typer.Argument(help="Of the file, as `task show` lists it.", show_default=False)],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Do not play a file that waits to be inserted."""
    with session(url) as service:
        print_task(service.cancel_insert(find_task(service, task_id), number), as_json)


def skip(task_ids: TaskNames, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Go on with the next item of lists, or end what was inserted."""
    from streamferry.cli.task_tables import show_done

    with session(url) as service:
        for task_id in find_tasks(service, task_ids):
            changed = service.skip_item(task_id)
            if as_json:
                print_json(changed)
            else:
                show_done(changed)
