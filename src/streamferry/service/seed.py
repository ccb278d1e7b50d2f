"""What ``streamferry quickstart`` puts into its store before the service runs: an access key and one looping task."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.relay.spec import ENDLESS
from streamferry.service.store_access import Purpose, open_store, prepare_data_dir
from streamferry.store.records import KeyPair
from streamferry.tasks.draft import SourceDraft, TaskDraft
from streamferry.tasks.model import TaskKind
from streamferry.web.reads import Reads
from streamferry.web.views import Status
from streamferry.web.writes import Verb, Writes

TITLE = "sample"
#: The longest window that is allowed, and how much of it must be left; otherwise the task gets a new one.
_WINDOW = timedelta(days=7)
_LEFT = timedelta(days=1)


@dataclass(frozen=True)
class Prepared:
    """What is now in the store."""

    key: KeyPair
    task_id: str


async def prepare(settings: Settings, sample: Path, destination: str) -> Prepared:
    """The existing key and task if there are any, otherwise new ones. Raises ValueError, OSError, ActionError."""
    prepare_data_dir(settings)
    async with open_store(settings, Purpose.SERVE) as store:
        actions = Actions(store)
        key = await _first_writer(actions) or await actions.create_key()
        writes = Writes(actions, address_rules(settings.folders, buckets=settings.buckets))
        found = (await Reads(actions).tasks(title=TITLE, size=1)).tasks
        if not found:
            return Prepared(key, await _create(writes, sample, destination))
        task, now = found[0], datetime.now(UTC)
        draft = TaskDraft(destination=destination)
        if task.end_at != "never" and task.end_at < now + _LEFT:
            draft = replace(draft, start_at=now, end_at=now + _WINDOW)
        await writes.update_task(task.task_id, draft)
        if task.status is Status.DISABLED:
            await writes.ask_task(task.task_id, Verb.CONTINUE)
        return Prepared(key, task.task_id)


async def _first_writer(actions: Actions) -> KeyPair | None:
    for one in await actions.list_keys():
        if one.enabled and not one.read_only:
            return await actions.find_key(one.access_key_id)
    return None


async def _create(writes: Writes, sample: Path, destination: str) -> str:
    now = datetime.now(UTC)
    draft = TaskDraft(
        kind=TaskKind.VOD,
        title=TITLE,
        sources=[SourceDraft(sample.as_uri())],
        destination=destination,
        loops=ENDLESS,
        start_at=now,
        end_at=now + _WINDOW,
    )
    return (await writes.create_task(draft)).task_id
