"""Many rows for one statement: a JSON text that the database reads as a table.

An "executemany" is a statement for each row, and on PostgreSQL each of them is bound, planned and answered by itself. A
VALUES list is another statement for each number of rows, which is compiled and prepared anew.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

#: The text is bound under this name.
_ROWS = "given_rows"


def table_of(dialect: str, columns: Mapping[str, Any]) -> Any:
    """The rows of ``bind`` as a table with these columns (name -> SQL type)."""
    text = sa.bindparam(_ROWS, type_=sa.Text())
    if dialect == "postgresql":
        typed: list[Any] = [sa.column(name, kind) for name, kind in columns.items()]
        read = sa.func.json_to_recordset(sa.cast(text, sa.JSON)).table_valued(*typed, name="given")
        return read.render_derived(with_types=True)
    value = sa.func.json_each(text).table_valued("value").c.value
    cells = (
        sa.type_coerce(sa.func.json_extract(value, f"$.{name}"), kind).label(name) for name, kind in columns.items()
    )
    return sa.select(*cells).limit(-1).subquery("given")


def bind(rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """The parameter of a statement with ``table_of``: numbers, texts, booleans and None.

    A value that no database takes is made one that it does: all rows would be refused for it.
    """
    try:
        text = json.dumps(rows, allow_nan=False)
    except ValueError:
        return {_ROWS: json.dumps(_storable(rows))}
    # Also of letters that are written as two halves, and are fine.
    is_odd = "\\u0000" in text or "\\ud" in text
    return {_ROWS: json.dumps(_storable(rows)) if is_odd else text}


def _storable(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    return [{name: _storable_cell(value) for name, value in row.items()} for row in rows]


def _storable_cell(value: object) -> object:
    """Half a letter and NUL are replaced; what is not a finite number is not known."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "\ufffd")
    return None if isinstance(value, float) and not math.isfinite(value) else value
