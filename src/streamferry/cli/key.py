"""``streamferry key``: access keys. It opens the store and not the API, so that a lost key locks nobody out."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamferry.cli.options import AsJson
from streamferry.cli.serve import Config, DataDir, StoreAddress, read_settings, run_or_exit
from streamferry.cli.time_arguments import show_time

if TYPE_CHECKING:
    from streamferry.config import Settings
    from streamferry.control.actions import Actions

#: A table is as wide as its content: this is wider than any.
_WIDER_THAN_ANY = 1000

key = typer.Typer(help="Make, list and disable access keys of the service.", no_args_is_help=True)


@key.command()
def create(
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It may read, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an access key and print it with its secret, which is not shown again."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_create(settings, read_only, as_json))


@key.command("list")
def show(config: Config = None, data_dir: DataDir = None, store: StoreAddress = None, as_json: AsJson = False) -> None:
    """List the access keys, without their secrets."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_show(settings, as_json))


@key.command()
def disable(
    access_key_id: Annotated[str, typer.Argument(help="The key's id.")],
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
) -> None:
    """Disable an access key: calls signed with it are refused from now on."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_disable(settings, access_key_id))


@key.command("rotate-seal")
def rotate_seal(
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="Where to write the new key, if the current one is a setting.", show_default=False),
    ] = None,
) -> None:
    """Encrypt all secrets in the store under a new key. The service and its workers must be stopped."""
    settings = read_settings(config, data_dir=data_dir, store=store)
    run_or_exit(_rotate_seal(settings, key_file))


async def _rotate_seal(settings: "Settings", key_file: Path | None) -> None:
    from streamferry.service.store_access import rotate_seal
    from streamferry.tasks.actor import acting_as, user_of_machine

    with acting_as(user_of_machine()):
        done, broken = await rotate_seal(settings, key_file)
    print(f"{done} values are sealed under another key")
    if broken:
        print(f"{broken} could not be opened and stay as they were: damaged before, they are shown as such")
    if key_file is None:
        print("Other machines that share the store need the new seal.key before they start")
    else:
        print(f"Put the key in {key_file} into the setting seal-key of every machine before you start")
    print("Backups made before open with the key that is in them")


async def _create(settings: "Settings", read_only: bool, as_json: bool) -> None:
    async with _open_actions(settings) as actions:
        pair = await actions.create_key(read_only=read_only)
    if as_json:
        print(json.dumps({"access_key_id": pair.access_key_id, "secret_access_key": pair.secret}))
    else:
        print(f"access key id      {pair.access_key_id}\nsecret access key  {pair.secret}")


async def _show(settings: "Settings", as_json: bool) -> None:
    async with _open_actions(settings) as actions:
        found = await actions.list_keys()
    if as_json:
        rows = [{**asdict(one), "created_at": one.created_at.isoformat(timespec="seconds")} for one in found]
        print(json.dumps(rows))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("access key id", "state", "may", "created"):
        table.add_column(name, no_wrap=True)
    for one in found:
        state = "enabled" if one.enabled else "disabled"
        may = "read" if one.read_only else "read and write"
        table.add_row(escape(one.access_key_id), state, may, show_time(one.created_at))
    # Ids are copied into other commands: a narrow terminal may wrap them, but nothing is cut off.
    Console(width=_WIDER_THAN_ANY, highlight=False).print(table)


async def _disable(settings: "Settings", access_key_id: str) -> None:
    from streamferry.tasks.errors import KeyNotFound

    async with _open_actions(settings) as actions:
        try:
            await actions.disable_key(access_key_id)
        except KeyNotFound as error:
            raise ValueError(str(error)) from None
    print(f"disabled {access_key_id}")


@contextlib.asynccontextmanager
async def _open_actions(settings: "Settings") -> "AsyncIterator[Actions]":
    from streamferry.control.actions import Actions
    from streamferry.service.store_access import open_store
    from streamferry.tasks.actor import acting_as, user_of_machine

    async with open_store(settings) as store:
        with acting_as(user_of_machine()):
            yield Actions(store)
