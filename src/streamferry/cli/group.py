"""``streamferry group``: groups of tasks on a running service, over REST."""

from collections.abc import Sequence
from typing import Annotated

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.task_session import DEFAULT_URL, Url, print_json, session

group = typer.Typer(help="Make, list and delete groups of tasks.", no_args_is_help=True)
GroupName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="1 to 20 Chinese characters, letters and digits.", show_default=False),
]
GroupNames = Annotated[list[str], typer.Argument(metavar="NAME...", help="Their names.", show_default=False)]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A label; repeat for more.", show_default=False),
]
_PAGE = 500


@group.command()
def create(
    name: GroupName,
    tag: Tags = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Make a group, for ``task create --group``."""
    with session(url, "group") as service:
        service.call("POST", "/groups", {"name": name, "tags": [_read_tag(one) for one in tag or ()]})
    typer.echo(f"{name} was made")


@group.command("list")
def show_all(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List groups, oldest first, one a line."""
    found: list[dict[str, object]] = []
    with session(url, "group") as service:
        total = 1
        while len(found) < total:
            page = service.call("GET", "/groups", query={"page": len(found) // _PAGE + 1, "size": _PAGE})
            total = page["total"] if page["groups"] else 0
            found += page["groups"]
    for one in found:
        if as_json:
            print_json(one)
        else:
            typer.echo(_text(one))


@group.command()
def delete(names: GroupNames, url: Url = DEFAULT_URL) -> None:
    """Delete groups that hold no tasks."""
    from urllib.parse import quote

    with session(url, "group") as service:
        for name in names:
            service.call("DELETE", f"/groups/{quote(name, safe='')}")
            typer.echo(f"{name} was deleted")


def _read_tag(text: str) -> dict[str, str]:
    key, found, value = text.partition("=")
    if not (key and found):
        raise ValueError(f"--tag: {text} must be KEY=VALUE")
    return {"key": key, "value": value}


def _text(one: dict[str, object]) -> str:
    tags = one["tags"]
    labels = [f"{tag['key']}={tag['value']}" for tag in tags] if isinstance(tags, Sequence) else []
    return "  ".join((str(one["name"]), *labels))
