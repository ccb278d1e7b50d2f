"""Pictures of watermarks: each kept once, read by who shows or lays it, and by nothing that lists."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rest_api import make_rest
from signed_api import NO_LIMITS, make_api
from task_samples import make_spec

from kit.pictures import png
from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.store import Seal, Store, migrate, retention, sqlite_url
from streamferry.store.pictures import digest_of
from streamferry.store.retention import Retention
from streamferry.store.schema import picture
from streamferry.tasks.model import StoredMark
from streamferry.web.compat.routes import ApiSettings
from streamferry.web.compat.task_bodies import MAX_PICTURES_BYTES


def large(number: int = 0) -> bytes:
    """A picture of about 1.9 MB that is whole: its data is followed by a chunk that says nothing."""
    whole = png()
    text = b"fill" + bytes([number]) + bytes(1_900_000)
    chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + zlib.crc32(b"tEXt" + text).to_bytes(4, "big")
    at = whole.rindex(b"IEND") - 4
    return whole[:at] + chunk + whole[at:]


async def make(store: Store, count: int, data: bytes | None = None) -> list[str]:
    """Tasks with a watermark, each with its own picture if none is given."""
    actions = Actions(store)
    made = []
    for number in range(count):
        mark = Watermark(large(number) if data is None else data, 0.1, 0.2, 0.3)
        destination = MediaUrl.parse(f"rtmp://push.example/live/key-{number}-{len(made)}")
        made.append(await actions.create_task(make_spec(destination=destination, watermark=mark)))
    return made


@contextmanager
def reads_of_pictures() -> Iterator[list[str]]:
    """The statements that read bytes of pictures."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "picture.data" in statement:
            seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def test_lists_carried_every_watermark(store: Store) -> None:
    """Neither claims nor passes, pages or counts read one; the compatible list carries some, to a budget in bytes."""
    made = await make(store, 6)
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    ledger = StoreLedger(store, "worker-1", capacity=2)
    await ledger.register()
    async with api.client, make_rest(store) as rest:
        with reads_of_pictures() as seen:
            for path in ("/tasks?size=500", f"/tasks/{made[0]}", "/overview", f"/tasks/{made[0]}/request", "/events"):
                await rest.call("GET", path)
            await Scheduler(store).run_once()
            await ledger.poll(0, 2)
            assert seen == []
            # Who starts two tasks reads two pictures, and none again as long as nothing changes.
            held = await ledger.assignments({})
            assert len(seen) == 2
            known = {one.task_id: (one.epoch, one.version) for one in held.values() if one is not None}
            await ledger.assignments(known)
            assert len(seen) == 2
            seen.clear()
            answer = await api.raw("ListPullToPushTask", b'{"Size": 500}')
            assert len(seen) == 1
        assert len(answer.content) < MAX_PICTURES_BYTES
        shown = [one["Watermark"]["Picture"] for one in answer.json()["Result"]["List"]]
        assert [text.startswith("data:image/png;base64,") for text in shown] == [True, *[False] * 5]
        assert all(text.startswith("data:image/png;sha256,") for text in shown[1:])
    await ledger.leave()


async def test_a_small_list_shows_every_picture_as_the_cloud_does(store: Store) -> None:
    """The same bytes that were given."""
    await make(store, 20, png())
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        found = (await api.call("ListPullToPushTask", {}))["List"]
    mark = Watermark.from_data_url(found[0]["Watermark"]["Picture"], 0.1, 0.2, 0.3)
    assert mark.picture == png()
    assert len({one["Watermark"]["Picture"] for one in found}) == 1


async def test_what_stands_for_a_picture_can_be_sent_back(store: Store) -> None:
    """In another place and by both APIs; of a picture that the task has not it is refused."""
    one, other = await make(store, 2)
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client, make_rest(store) as rest:
        found = {item["TaskId"]: item for item in (await api.call("ListPullToPushTask", {}))["List"]}
        hidden = found[one]["Watermark"]["Picture"]
        body = {"TaskId": one, "Type": 1, "Watermark": {**found[one]["Watermark"], "Ratio": 0.5}}
        await api.call("UpdatePullToPushTask", body)
        await rest.call("PATCH", f"/tasks/{one}", {"watermark": {"x": 0.7}})
        mark = (await rest.call("GET", f"/tasks/{one}"))["watermark"]
        assert (mark["x"], mark["ratio"], mark["size_bytes"]) == (0.7, 0.5, len(large()))
        data = (await rest.client.get(f"/tasks/{one}/watermark")).content
        assert data == large(0)
        refused = await api.refusal("UpdatePullToPushTask", {**body, "TaskId": other})
        assert "Watermark.Picture" in refused["Message"]
        assert hidden not in refused["Message"]
        for wrong in ({"x": 1.0}, {"y": -1}, {"ratio": 0}):
            await rest.refusal(422, "PATCH", f"/tasks/{one}", {"watermark": wrong})


async def count_pictures(store: Store) -> int:
    async with store.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(picture))).scalar_one())


async def prune(store: Store) -> None:
    async with store.read() as connection:
        has_old = await retention.has_old(connection, Retention())
    if has_old:
        async with store.write() as connection:
            await retention.prune(connection, Retention())


async def test_a_picture_is_kept_once_and_as_long_as_a_task_has_it(store: Store) -> None:
    """However many tasks have it; behind the last one it is forgotten."""
    made = await make(store, 3, png())
    assert await count_pictures(store) == 1
    actions = Actions(store)
    for task_id in made[:2]:
        await actions.delete_task(task_id)
    await prune(store)
    assert await count_pictures(store) == 1
    await actions.delete_task(made[2])
    await prune(store)
    assert await count_pictures(store) == 0


async def test_a_picture_that_is_forgotten_and_taken_over_at_once_is_not_lost(store: Store) -> None:
    """Tasks come and go while what nobody has is forgotten: each that is there has its picture."""
    actions = Actions(store)

    async def come_and_go(number: int) -> str:
        task_id = ""
        for turn in range(5):
            if task_id:
                await actions.delete_task(task_id)
            destination = MediaUrl.parse(f"rtmp://push.example/live/{number}-{turn}")
            task_id = await actions.create_task(make_spec(destination=destination, watermark=Watermark(png(), 0, 0, 1)))
        return task_id

    async def forget(done: asyncio.Event) -> None:
        while not done.is_set():
            await prune(store)
            await asyncio.sleep(0)

    done = asyncio.Event()
    forgetting = asyncio.create_task(forget(done))
    made = await asyncio.gather(*(come_and_go(number) for number in range(4)))
    done.set()
    await forgetting
    for task_id in made:
        mark = (await actions.get_task(task_id)).spec.watermark
        assert isinstance(mark, StoredMark)
        assert (await actions.read_pictures([mark.digest]))[mark.digest] == png()


async def test_a_damaged_picture_is_its_task_s_failure(store: Store) -> None:
    """Told by the worker that was to lay it; the picture is shown to nobody."""
    (task_id,) = await make(store, 1, png())
    async with store.write() as connection:
        await connection.execute(picture.update().values(data=b"spoiled"))
    ledger = StoreLedger(store, "worker-1", capacity=10)
    await ledger.register()
    await ledger.poll(0, 10)
    assigned = (await ledger.assignments({}))[task_id]
    assert assigned is not None
    assert "watermark is damaged" in str(assigned.problem)
    await ledger.leave()
    async with make_rest(store) as rest:
        await rest.refusal(404, "GET", f"/tasks/{task_id}/watermark")


async def test_pictures_of_an_older_store_are_moved(tmp_path: Path) -> None:
    """Each once, and the tasks that had them find them there."""
    store = Store(sqlite_url(tmp_path / "store.db"), Seal(Fernet.generate_key().decode()))
    try:
        await migrate(store, "0010")
        async with store.write() as connection:
            for number, data in enumerate((png(), png(), None, large())):
                row = {"task": f"{number}", "sealed": b"x", "picture": data}
                text = "INSERT INTO task_spec (task_id, sealed_spec, picture) VALUES (:task, :sealed, :picture)"
                await connection.execute(sa.text(text), row)
        await migrate(store)
        async with store.read() as connection:
            found = await connection.execute(sa.text("SELECT task_id, picture_digest FROM task_spec ORDER BY task_id"))
            small, big = digest_of(png()), digest_of(large())
            assert [tuple(row) for row in found] == [("0", small), ("1", small), ("2", None), ("3", big)]
            kept = await connection.execute(sa.select(picture.c.digest, picture.c.media_type, picture.c.data))
            assert {(row[0], row[1], row[2]) for row in kept} == {
                (small, "image/png", png()),
                (big, "image/png", large()),
            }
    finally:
        await store.aclose()
