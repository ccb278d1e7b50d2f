"""``streamferry task add-destination``, ``change-destination`` and ``remove-destination``: while the task is on air."""

from typing import Annotated, Any

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.task_body import check_latency, destination_field
from streamferry.cli.task_session import DEFAULT_URL, TaskName, Url, find_task, print_task, session

Number = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, max=10, help="Its number in task show.", show_default=False)
]
# Not from the environment, which is for the destination of a new task.
To = Annotated[str | None, typer.Option("--to", help="Address to push to.", show_default=False)]
Key = Annotated[str | None, typer.Option("--key", help="Stream key, if --to is only a server.", show_default=False)]
Name = Annotated[str | None, typer.Option(help="What people call it, as the platform's name.", show_default=False)]
OfLatency = Annotated[
    str | None, typer.Option("--latency", metavar="low|normal|dense", help="Its own class.", show_default=False)
]
BackupOf = Annotated[int | None, typer.Option(help="Number of the one whose stamps it carries.", show_default=False)]


def add_destination(
    task_id: TaskName,
    to: To = None,
    key: Key = None,
    name: Name = None,
    latency: OfLatency = None,
    backup_of: BackupOf = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Push a live task to one more; the others do not notice."""
    with session(url) as service:
        if to is None:
            raise ValueError("--to: is required")
        body = _body(to, key, name=name, latency=latency, backup_of=backup_of)
        print_task(service.call("POST", f"/tasks/{find_task(service, task_id)}/destinations", body), as_json)


def change_destination(
    task_id: TaskName,
    number: Number,
    to: To = None,
    key: Key = None,
    name: Name = None,
    latency: OfLatency = None,
    backup_of: BackupOf = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is pushed to.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change one destination, or switch it on or off; the others do not notice."""
    with session(url) as service:
        body = _body(to, key, name=name, latency=latency, backup_of=backup_of, enabled=on)
        if not body:
            raise ValueError("nothing was given to change")
        path = f"/tasks/{find_task(service, task_id)}/destinations/{number}"
        print_task(service.call("PATCH", path, body), as_json)


def remove_destination(task_id: TaskName, number: Number, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """End the broadcast at one destination and forget it; the others do not notice."""
    with session(url) as service:
        print_task(service.remove_destination(find_task(service, task_id), number), as_json)


def _body(to: str | None, key: str | None, **others: Any) -> dict[str, Any]:
    others["latency"] = check_latency(others["latency"])
    given = {"to": destination_field(to, key), **others}
    return {name: value for name, value in given.items() if value is not None}
