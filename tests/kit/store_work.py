"""How much a call asks of the store: statements and transactions, the same on every machine and under every load."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa


@dataclass
class StoreWork:
    """``statements``: their texts in order, without those that begin and end transactions."""

    statements: list[str] = field(default_factory=list)
    transactions: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """How many statements, in how many transactions."""
        return len(self.statements), self.transactions


@contextmanager
def store_work() -> Iterator[StoreWork]:
    """What every store of this process is asked during the block. One that is executed for many rows counts for each:
    on PostgreSQL each is bound and answered by itself."""
    seen = StoreWork()

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, _: object, is_many: bool) -> None:
        if not statement.startswith("BEGIN"):
            seen.statements += [statement] * (len(parameters) if is_many else 1)

    def note_begin(_: object) -> None:
        seen.transactions += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    sa.event.listen(sa.Engine, "begin", note_begin)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        sa.event.remove(sa.Engine, "begin", note_begin)
