"""What all tables have in common: the metadata, the kinds of numbers and ids."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """PostgreSQL's transaction id of 64 bits, which is never reused."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)
# SQLite numbers rows by itself only in a column of exactly this type.
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Id = sa.String(32)
