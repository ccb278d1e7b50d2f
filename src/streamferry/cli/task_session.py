"""What the commands of ``streamferry task`` share: the service they call, how a task is named, how an answer is shown.

A task is named by its id, by the unique beginning of one, or by its title.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamferry.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from streamferry.client.rest import RestService

DEFAULT_URL = "http://127.0.0.1:8080"
Url = Annotated[
    str,
    typer.Option("--url", envvar="STREAMFERRY_URL", show_envvar=True, help="Address of the service."),
]
TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="Its id, a beginning of it, or its title.", show_default=False)
]
TaskNames = Annotated[
    list[str], typer.Argument(metavar="TASK...", help="Ids, beginnings of them, or titles.", show_default=False)
]
_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{4,31}")
#: This many always fit into one answer, however long their addresses are.
_PAGE = 100
#: How many pages of tasks are searched for the beginning of an id.
_MAX_PAGES = 100


@contextlib.contextmanager
def session(url: str, command: str = "task") -> Iterator["RestService"]:
    """A client; any failure ends the ``command`` with a sentence and a status."""
    from streamferry.cli.service_calls import open_service
    from streamferry.client.errors import ClientError, NoAnswer, Refused

    try:
        with open_service(url) as client:
            yield client
        return
    except Refused as refused:
        words = refused.message
        status = ExitStatus.USAGE if 400 <= refused.status < 500 else ExitStatus.SERVICE
    except NoAnswer as error:
        words, status = str(error), ExitStatus.SERVICE
    except (ValueError, ClientError) as error:
        words, status = str(error), ExitStatus.USAGE
    except (KeyError, TypeError, AttributeError, IndexError):
        # Everything read in here is the service's answer.
        words = "it answered with what cannot be read: is this the address of a streamferry service of this version?"
        status = ExitStatus.SERVICE
    typer.echo(f"streamferry {command}: {words}", err=True)
    raise typer.Exit(status)


def find_task(service: "RestService", name: str) -> str:
    """The id of the named task. Raises ValueError if there is none, or more than one."""
    if _ID.fullmatch(name):
        return name
    found = [one for one in _all_tasks(service, title=name) if one["title"] == name]
    if not found and _BEGINNING.fullmatch(name):
        found = [one for one in _all_tasks(service) if one["task_id"].startswith(name)]
    if not found:
        raise ValueError(f"there is no task {name}: give its id, at least 4 digits of it, or its title")
    if len(found) > 1:
        raise ValueError(f"{name} could be {_list_of([one['task_id'][:12] for one in found])}: give more of the id")
    return str(found[0]["task_id"])


def find_tasks(service: "RestService", names: list[str]) -> list[str]:
    """Ids, each found before anything is done."""
    return [find_task(service, name) for name in names]


def print_task(shown: Mapping[str, Any], as_json: bool, line: str | None = None) -> None:
    """As JSON, as a single line in a pipe (for scripts), or as a table."""
    from streamferry.cli.task_tables import show_task

    if as_json:
        print_json(shown)
    elif line is not None and not sys.stdout.isatty():
        typer.echo(line)
    else:
        show_task(shown)


def print_json(shown: object) -> None:
    """As JSON on one line."""
    typer.echo(json.dumps(shown, ensure_ascii=False))


def _all_tasks(service: "RestService", title: str = "") -> Iterator[dict[str, Any]]:
    for page in range(1, _MAX_PAGES + 1):
        found = service.call("GET", "/tasks", query={"title": title, "page": page, "size": _PAGE})
        yield from found["tasks"]
        if page * found["size"] >= found["total"]:
            return


def _list_of(words: list[str]) -> str:
    shown = ", ".join(words[:3])
    return f"{shown} and {len(words) - 3} more" if len(words) > 3 else " or ".join(words)
