"""The dashboard: the actions and the reads as pages. It has no rules and no SQL of its own.

``mount`` puts it on the application, ``session_gate`` lets nobody in without a session, ``frame`` is what all pages
share; then one module for each page. Everything a page does goes through ``page_actions``, which checks whether the
visitor may write.
"""

import sys
from importlib import import_module
from types import ModuleType

#: What engineio, which NiceGUI brings, imports for its clients if it is there. A server makes none.
_OF_CLIENTS = ("aiohttp", "requests", "websocket")


def _import_engineio() -> None:
    """Import it as if those were not installed: a tenth of a start. Whoever needs them can import them afterwards."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    hidden = [name for name in _OF_CLIENTS if name not in modules]
    modules |= dict.fromkeys(hidden)
    try:
        import_module("engineio")
    finally:
        for name in hidden:
            del modules[name]


_import_engineio()
