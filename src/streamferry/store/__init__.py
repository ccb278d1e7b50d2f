"""The store: tables, migrations, and every statement that is ever sent to them.

``database`` has connections and transactions, ``seal`` the encryption of secrets; the other modules hold the SQL, one
for each kind of row. Rules are not here but in ``control.actions`` and ``tasks.schedule``.
"""

from streamferry.store.database import Store
from streamferry.store.migrate import migrate, require_schema
from streamferry.store.seal import Seal, SealBroken, load_or_make_key
from streamferry.store.sqlite import sqlite_file, sqlite_url
from streamferry.store.trouble import TROUBLE, asks_again, describe_to_strangers, describe_trouble

__all__ = [
    "TROUBLE",
    "Seal",
    "SealBroken",
    "Store",
    "asks_again",
    "describe_to_strangers",
    "describe_trouble",
    "load_or_make_key",
    "migrate",
    "require_schema",
    "sqlite_file",
    "sqlite_url",
]
