"""What passes decide by: how long a list plays, and when windows recur. Beside the sealed spec, so that none is opened.

There is no address in it. It names the sealed bytes that it was written with: a service of an older version changes
those and not this, and then the spec is opened.
"""

from dataclasses import dataclass, replace
from zlib import crc32

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from streamferry.store import task_rows
from streamferry.store.schema import task_spec
from streamferry.store.seal import Seal
from streamferry.store.task_rows import ListTiming
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskSpec
from streamferry.tasks.series import Series


@dataclass(frozen=True, slots=True)
class Timing:
    """``of``: the sealed bytes it was written with, as a checksum."""

    of: int
    list: ListTiming
    series: Series | None = None


_STORED = TypeAdapter(Timing)
#: The rows of tasks with this beside.
WITH_TIMING = task_rows.WITH_RUN.add_columns(task_spec.c.timing)


def write(spec: TaskSpec, sealed_spec: bytes) -> str:
    """The column of a spec that was sealed so."""
    timing = Timing(crc32(sealed_spec), ListTiming.of(spec), spec.series)
    return _STORED.dump_json(timing, exclude_defaults=True).decode()


def read(seal: Seal, row: sa.RowMapping) -> Timing:
    """That of a row of ``WITH_TIMING``. Raises Unreadable if the spec has to be opened and cannot be."""
    of = crc32(row["sealed_spec"])
    if row["timing"] is not None:
        try:
            stored = _STORED.validate_json(row["timing"])
            if stored.series is not None:
                stored.series.check()
        except (ValidationError, InvalidField):
            stored = None
        if stored is not None and stored.of == of:
            return stored
    spec = task_rows.spec_of(seal, row)
    return Timing(of, ListTiming.of(spec), spec.series)


def resealed(text: str | None, before: bytes, sealed_spec: bytes) -> str | None:
    """The column once the same spec is sealed under another key; one that was not of that spec stays as it was."""
    if text is None:
        return None
    try:
        stored = _STORED.validate_json(text)
    except ValidationError:
        return text
    if stored.of != crc32(before):
        return text
    return _STORED.dump_json(replace(stored, of=crc32(sealed_spec)), exclude_defaults=True).decode()
