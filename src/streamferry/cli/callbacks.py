"""``streamferry callbacks``: callbacks and the secret that signs them. Like ``key``, it opens the store directly."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamferry.cli.options import AsJson
from streamferry.cli.serve import Config, DataDir, StoreAddress, read_settings, run_or_exit
from streamferry.cli.time_arguments import show_time

if TYPE_CHECKING:
    from streamferry.config import Settings
    from streamferry.control.callbacks import Callbacks
    from streamferry.store.records import DeliveryPage, DeliveryRecord

callbacks = typer.Typer(help="List, show and replay callbacks; show their secret.", no_args_is_help=True)
TaskId = Annotated[str | None, typer.Option("--task", help="Only of this task.", show_default=False)]
EventId = Annotated[str, typer.Argument(help="The callback's id, evt_..., as its receiver gets it.")]
_TABLE_WIDTH = 120
_STYLES = {"waiting": "yellow", "delivered": "green", "dead": "red"}


@callbacks.command("list")
def show_all(
    task: TaskId = None,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or dead.", show_default=False)] = None,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Callbacks on a page.")] = 20,
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    as_json: AsJson = False,
) -> None:
    """List callbacks, newest first: waiting, delivered, or given up (dead)."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_show_all(settings, task, state, page, size, as_json))


@callbacks.command()
def show(
    event_id: EventId,
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    as_json: AsJson = False,
) -> None:
    """Show one callback with its body."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_show(settings, event_id, as_json))


@callbacks.command()
def replay(
    event_id: Annotated[str | None, typer.Argument(help="The callback's id, evt_...", show_default=False)] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    task: TaskId = None,
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
) -> None:
    """Send again a callback that was delivered or given up, or with --dead all that were given up."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_replay(settings, event_id, dead, task))


@callbacks.command()
def drop(task: TaskId = None, config: Config = None, data_dir: DataDir = None, store: StoreAddress = None) -> None:
    """Delete callbacks that were given up, before they expire."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_drop(settings, task))


@callbacks.command()
def secret(
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a new one; the old one also signs for another day.")
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    as_json: AsJson = False,
) -> None:
    """Print the secret that receivers verify callbacks with (Standard Webhooks)."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_secret(settings, replace, as_json))


async def _show_all(
    settings: "Settings", task: str | None, state: str | None, page: int, size: int, as_json: bool
) -> None:
    from streamferry.tasks.model import DeliveryState

    if state is not None and state not in tuple(DeliveryState):
        raise ValueError("state: must be waiting, delivered or dead")
    async with _open(settings) as page_actions:
        found = await page_actions.list_deliveries(
            task_id=task, state=DeliveryState(state) if state else None, page=page, size=size
        )
    if as_json:
        print(json.dumps({"total": found.total, "callbacks": [_row(one) for one in found.records]}, ensure_ascii=False))
    else:
        _print_table(found)


def _print_table(found: "DeliveryPage") -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "happened", "event", "state", "tries"):
        table.add_column(name, no_wrap=True)
    table.add_column("problem")
    for one in found.records:
        style = _STYLES[one.state]
        when = show_time(one.at, seconds=True)
        table.add_row(
            one.event_id, when, one.event, f"[{style}]{one.state}[/]", str(one.attempts), str(one.problem or "")
        )
    # Ids are copied into other commands: a narrow terminal may wrap them, but nothing is cut off.
    Console(width=max(Console().width, _TABLE_WIDTH)).print(table)
    print(f"{len(found.records)} of {found.total}")


async def _show(settings: "Settings", event_id: str, as_json: bool) -> None:
    from streamferry.web.compat.callback_body import body_of

    async with _open(settings) as page_actions:
        one = await page_actions.get_delivery(event_id)
    body = None if one.is_damaged else body_of(one).model_dump(mode="json")
    if as_json:
        print(json.dumps({**_row(one), "body": body}, ensure_ascii=False))
        return
    console = Console()
    for name, value in _row(one).items():
        console.print(f"{name:<11}{value if value is not None else ''}", markup=False, soft_wrap=True)
    console.print_json(data=body, ensure_ascii=False)


async def _replay(settings: "Settings", event_id: str | None, dead: bool, task: str | None) -> None:
    if (event_id is None) != dead:
        raise ValueError("give the id of a callback, or --dead for all that were given up")
    async with _open(settings) as page_actions:
        if event_id is None:
            count = await page_actions.replay_dead(task)
        else:
            await page_actions.replay(event_id)
            count = 1
    print(f"{count} to be delivered again")


async def _drop(settings: "Settings", task: str | None) -> None:
    async with _open(settings) as page_actions:
        print(f"{await page_actions.drop_dead(task)} forgotten")


async def _secret(settings: "Settings", replace: bool, as_json: bool) -> None:
    async with _open(settings) as page_actions:
        found = await (page_actions.replace_secret() if replace else page_actions.secret())
    print(json.dumps({"secret": found}) if as_json else found)


def _row(one: "DeliveryRecord") -> dict[str, Any]:
    return {
        "event_id": one.event_id,
        "task_id": one.task_id,
        "sequence": one.number,
        "at": one.at.isoformat(timespec="milliseconds"),
        "event": one.event.value,
        "state": one.state.value,
        "attempts": one.attempts,
        "settled_at": one.settled_at.isoformat(timespec="milliseconds") if one.settled_at else None,
        "problem": str(one.problem) if one.problem else None,
    }


@contextlib.asynccontextmanager
async def _open(settings: "Settings") -> "AsyncIterator[Callbacks]":
    """The opened callbacks. Raises ValueError for what cannot be done."""
    from streamferry.control.callbacks import Callbacks
    from streamferry.service.store_access import open_store
    from streamferry.tasks.actor import acting_as, user_of_machine
    from streamferry.tasks.errors import ActionError

    async with open_store(settings) as store:
        try:
            with acting_as(user_of_machine()):
                yield Callbacks(store)
        except ActionError as error:
            raise ValueError(str(error)) from None
