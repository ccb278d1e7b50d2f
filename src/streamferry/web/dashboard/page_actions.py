"""What pages can do: reads for every signed-in visitor, changes for those who may write. No rules."""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.library import Library
from streamferry.reasons import Code
from streamferry.store.records import DeliveryRecord
from streamferry.tasks.actor import Actor, ActorKind, acting_as, new_request_id
from streamferry.tasks.draft import TaskDraft
from streamferry.tasks.errors import ActionError
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.web.calendar_tokens import CalendarTokens, path_of
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.links import SignInLinks
from streamferry.web.dashboard.numbers import Numbers
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import Sessions
from streamferry.web.operation_views import ProbeView
from streamferry.web.probing import Probing
from streamferry.web.reads import Reads
from streamferry.web.request_sample import SdkBody
from streamferry.web.schedules import Schedules
from streamferry.web.writes import Verb, WorkerVerb, Writes

_PROBE_S = 20.0


class NotPermitted(ActionError):
    """The visitor may only read, or is no longer signed in."""


@dataclass(frozen=True, slots=True)
class PageActions:
    """Made once by the service."""

    actions: Actions
    reads: Reads
    numbers: Numbers
    writes: Writes
    library: Library
    callbacks: Callbacks
    probing: Probing
    sdk_body: SdkBody
    sessions: Sessions
    shelf: SessionShelf
    schedules: Schedules
    calendars: CalendarTokens
    public_hosts: Collection[str] = ()
    links: SignInLinks = field(default_factory=SignInLinks)

    def require_writer(self, who: Visitor) -> None:
        """Raises NotPermitted for visitors who may only read, or are no longer signed in."""
        if not who.can_write:
            raise NotPermitted(Code.ACTION_READ_ONLY if who.is_welcome else Code.ACTION_SESSION_OVER)

    @contextlib.contextmanager
    def _acting(self, who: Visitor) -> Iterator[None]:
        """Attributes changes within the block to the visitor. Raises NotPermitted as ``require_writer`` does."""
        self.require_writer(who)
        with acting_as(Actor(ActorKind.SESSION, who.session.access_key_id, new_request_id())):
            yield

    async def do(self, who: Visitor, deed: str, task_id: str) -> None:
        """Stop, continue, relaunch or delete a task. Raises ActionError."""
        with self._acting(who):
            if deed == "delete":
                await self.writes.delete_task(task_id)
            else:
                await self.writes.ask_task(task_id, Verb(deed))

    async def ask_worker(self, who: Visitor, worker_id: str, verb: WorkerVerb) -> None:
        """Cordon, drain or uncordon a worker. Raises ActionError."""
        with self._acting(who):
            await self.writes.ask_worker(worker_id, verb)

    async def switch(self, who: Visitor, task_id: str, which: int | None) -> None:
        """Show an input, or the slate, of a task; None: by the rules. Raises ActionError."""
        with self._acting(who):
            await self.writes.switch_input(task_id, which)

    async def insert(
        self, who: Visitor, task_id: str, source: InputSourceDraft, at: datetime | None, *, after_item: bool
    ) -> None:
        """Play a file over what is on air of a task, or after its present item. Raises ActionError."""
        with self._acting(who):
            await self.writes.insert_file(task_id, source, at, after_item=after_item)

    async def cancel_insert(self, who: Visitor, task_id: str, number: int) -> None:
        """Do not play a file that waits. Raises ActionError."""
        with self._acting(who):
            await self.writes.cancel_insert(task_id, number)

    async def skip(self, who: Visitor, task_id: str) -> None:
        """End what plays of a list, or what was inserted. Raises ActionError."""
        with self._acting(who):
            await self.writes.skip_item(task_id)

    async def create(self, who: Visitor, draft: TaskDraft) -> str:
        """Make a task; its id. Raises ActionError."""
        with self._acting(who):
            return (await self.writes.create_task(draft)).task_id

    async def update(self, who: Visitor, task_id: str, draft: TaskDraft, version: int) -> None:
        """Change a task, unless it was changed since that version. Raises ActionError."""
        with self._acting(who):
            await self.writes.update_task(task_id, draft, expected_version=version)

    async def calendar_link(self, who: Visitor, group: str = "") -> str:
        """Where a calendar finds when tasks run, below the service's address. Raises NotPermitted."""
        token = await self.calendars.make(who.session.access_key_id) if who.is_welcome else None
        if token is None:
            raise NotPermitted(Code.ACTION_SESSION_OVER)
        return path_of(token, group)

    async def probe(self, who: Visitor, address: str) -> ProbeView:
        """Inspect a file. Raises ActionError."""
        self.require_writer(who)
        return await self.probing.look(address, _PROBE_S)

    async def deliveries(self, task_id: str, count: int) -> list[DeliveryRecord]:
        """The last callbacks of a task, newest first."""
        return list((await self.callbacks.list_deliveries(task_id=task_id, size=count)).records)

    async def replay(self, who: Visitor, event_id: str) -> None:
        """Send a callback again. Raises ActionError."""
        with self._acting(who):
            await self.callbacks.replay(event_id)

    async def upload(self, who: Visitor, name: str, pieces: AsyncIterator[bytes], length: int | None) -> None:
        """Take a file into the library. Raises ActionError."""
        self.require_writer(who)
        await self.library.receive(name, pieces, length)

    async def delete_file(self, who: Visitor, name: str) -> None:
        """Delete a file of the library. Raises ActionError."""
        self.require_writer(who)
        await self.library.delete(name)
