"""``streamferry backup`` and ``restore``: the store in one file, whichever database it is in."""

import contextlib
import gzip
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from streamferry.cli.serve import Config, DataDir, StoreAddress, read_settings, run_or_exit

if TYPE_CHECKING:
    from streamferry.config import Settings
    from streamferry.store import Store
    from streamferry.tasks.model import AuditKind


_TABLE = re.compile(r'\{"table": ?"(\w+)"')


def backup(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.", show_default=False)],
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
) -> None:
    """Write tasks, keys, groups, events, callbacks and usage to a file, whether or not the service is running.

    The file contains the key to every secret in it: protect it. Prepared and uploaded files are not included.
    """
    run_or_exit(_backup(read_settings(config, data_dir=data_dir, store=store), file))


def restore(
    file: Annotated[Path, typer.Argument(help="A file that backup has written.", show_default=False)],
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
) -> None:
    """Fill an empty store from a backup. It may be a different database from the one that was backed up."""
    run_or_exit(_restore(read_settings(config, data_dir=data_dir, store=store), file))


async def _backup(settings: "Settings", file: Path) -> None:
    from streamferry.service.store_access import open_store
    from streamferry.store.dump import dump
    from streamferry.tasks.model import AuditKind

    rows: Counter[str] = Counter()
    async with open_store(settings) as store:
        with _new_file(file) as lines:
            async for line in dump(store):
                lines.write(line)
                if found := _TABLE.match(line):
                    rows[found[1]] += 1
        await _note(store, AuditKind.BACKED_UP, file)
    names = {"task": "task", "access_key": "access key", "task_group": "group", "event": "event"}
    counts = [f"{rows[table]:,} {name}{'s' * (rows[table] != 1)}" for table, name in names.items()]
    print(f"{', '.join(counts)} in {file}")
    if not rows["task"]:
        typer.echo(
            "streamferry: the store holds no task: is it the one of your service? (--data-dir, --store)", err=True
        )


@contextlib.contextmanager
def _new_file(file: Path) -> Iterator[TextIO]:
    """Compressed text, written to a temporary file that is renamed once it is complete."""
    _refuse_present(file)
    # Under a name that nobody can have prepared, as a link or as a file that others may read.
    part = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw, gzip.open(raw, "wt", encoding="utf-8", newline="\n") as lines:
            yield lines
        _refuse_present(file)
        part.rename(file)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _refuse_present(file: Path) -> None:
    if os.path.lexists(file):
        raise ValueError(f"{file}: exists already; backups are not overwritten")


async def _restore(settings: "Settings", file: Path) -> None:
    from streamferry.service.store_access import Purpose, adopt_seal_key, open_store, prepare_data_dir
    from streamferry.store.dump import load, read_head
    from streamferry.tasks.model import AuditKind

    lines = _read_lines(file)
    revision, seal_key = read_head(lines)
    prepare_data_dir(settings)
    adopt_seal_key(settings, seal_key)
    async with open_store(settings, Purpose.RESTORE) as store:
        rows = await load(store, lines, revision)
        await _note(store, AuditKind.RESTORED, file)
    print(f"{rows} rows restored; tasks whose time it is run as soon as the service does")


async def _note(store: "Store", kind: "AuditKind", file: Path) -> None:
    from streamferry.store import audit
    from streamferry.tasks.actor import acting_as, user_of_machine

    with acting_as(user_of_machine()):
        async with store.write() as connection:
            await audit.append(connection, kind, file.name)


def _read_lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from lines
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError):
        raise ValueError(f"{file}: is not a backup, or it is cut") from None
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
