"""What is done on a page is heard once, in the order in which it was done: also when its connection was lost meanwhile.

The page framework (NiceGUI 3.18) sends an event once, into a connection of which nobody knows yet that it is dead, and
what was typed and clicked by then never arrives. ``dashboard.js`` numbers the events of a page and sends those again
that were not answered; what was heard before is passed over here.
"""

from typing import Any
from weakref import WeakKeyDictionary

from nicegui import Client, core

#: A page that the browser shows anew from its memory is the same page to the framework, but numbers from 0 again.
_MAX_DOCUMENTS = 16
#: A document is named by a UUID.
_MAX_NAME_CHARS = 64


class HeardEvents:
    """The number of the last event of each document of one page."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def is_new(self, document: str, number: int) -> bool:
        """Whether it comes for the first time. Of documents beyond a few, the one that was new first is forgotten."""
        if len(document) > _MAX_NAME_CHARS or number <= self._last.get(document, -1):
            return False
        self._last[document] = number
        if len(self._last) > _MAX_DOCUMENTS:
            del self._last[next(iter(self._last))]
        return True


def hear_events_once() -> None:
    """Call it once per process."""
    pages: WeakKeyDictionary[Client, HeardEvents] = WeakKeyDictionary()
    pass_on = core.sio.handlers["/"]["event"]

    def hear(socket_id: str, event: Any) -> None:
        if not isinstance(event, dict):
            return
        client = Client.instances.get(str(event.get("client_id")))
        document, number = event.pop("document", None), event.pop("number", None)
        if client is None or not client.has_socket_connection:
            return
        if not isinstance(document, str) or not isinstance(number, int):
            return
        if pages.setdefault(client, HeardEvents()).is_new(document, number):
            pass_on(socket_id, event)

    core.sio.on("event", hear)
