"""What an outage of the store does to leases: it counts for nobody, and what came before a failover proves nothing."""

import asyncio

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from kit.claims import claim
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.store import Store, due, workers
from streamferry.store.database import read_now_ms
from streamferry.store.schema import pulse, worker
from streamferry.worker import LeaseLost

pytestmark = pytest.mark.usefixtures("standing_clock")


class Clerk:
    """A store whose clock stands, and time that passes by columns being moved."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def hold_a_task(self, worker_id: str, **how: object) -> str:
        destination = MediaUrl.parse(f"rtmp://push.example/live/{worker_id}")
        task_id = await Actions(self.store).create_task(make_spec(destination=destination))
        async with self.store.write() as connection:
            await workers.register(connection, worker_id, 10, **how)
            await claim(connection, self.store.seal, worker_id, load=0, room=10)
        return task_id

    async def beat(self, *, afresh: bool = False) -> None:
        async with self.store.write() as connection:
            await workers.beat(connection, await read_now_ms(connection), afresh=afresh)

    async def pass_by(self, ms: int, *, is_away: bool = False) -> None:
        """Nobody renews meanwhile. ``is_away``: nobody can, and the service cannot write either."""
        async with self.store.write() as connection:
            await connection.execute(worker.update().values(lease_ms=worker.c.lease_ms - ms))
            moved = {"since_ms": pulse.c.since_ms - ms} | ({"at_ms": pulse.c.at_ms - ms} if is_away else {})
            await connection.execute(pulse.update().values(moved))

    async def free(self) -> int:
        async with self.store.read() as connection:
            pending = await due.read_pending(connection)
        async with self.store.write() as connection:
            freed = await workers.free_expired(connection)
        assert pending.expired is (freed > 0)
        return freed


@pytest.fixture
def clerk(store: Store) -> Clerk:
    return Clerk(store)


async def test_a_worker_that_alone_is_silent_loses_its_tasks(clerk: Clerk) -> None:
    """While the store was written to all the time, so that it could have renewed."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    await clerk.pass_by(workers.LEASE_MS + 1)
    assert await clerk.free() == 1


@pytest.mark.parametrize("away_ms", [workers.PULSE_GAP_MS + 100, 15_000, 3_600_000])
async def test_an_outage_of_the_store_took_the_tasks_of_all(clerk: Clerk, away_ms: int) -> None:
    """Nobody could renew: after it every lease gets one full length before anybody judges, and who renews keeps all."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    await clerk.pass_by(away_ms, is_away=True)
    # Reads may answer before writes do: nobody is judged by them.
    assert await clerk.free() == 0
    await clerk.beat()
    assert await clerk.free() == 0
    await clerk.pass_by(workers.LEASE_MS - 1_000)
    assert await clerk.free() == 0
    async with clerk.store.write() as connection:
        await workers.renew(connection, "one", load=1, health=None)
    await clerk.pass_by(2_000)
    assert await clerk.free() == 0


async def test_who_does_not_come_back_after_an_outage_is_judged(clerk: Clerk) -> None:
    """One lease's length after it, as if it had renewed in its last moment."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    await clerk.pass_by(60_000, is_away=True)
    await clerk.beat()
    await clerk.pass_by(workers.LEASE_MS + 1)
    assert await clerk.free() == 1


@pytest.mark.parametrize("lease_s", [5.0, 60.0])
async def test_a_lease_is_as_long_as_its_worker_was_told(clerk: Clerk, lease_s: float) -> None:
    """And half a second more, so that who stops in time has stopped before."""
    await clerk.hold_a_task("one", lease_s=lease_s)
    await clerk.beat()
    await clerk.pass_by(round(lease_s * 1000) + 200)
    assert await clerk.free() == 0
    await clerk.pass_by(400)
    assert await clerk.free() == 1


async def test_a_worker_whose_lease_outlasted_the_outage_goes_on(clerk: Clerk) -> None:
    """Under the same epoch: nobody else had its task."""
    task_id = await clerk.hold_a_task("one", lease_s=60.0)
    await clerk.beat()
    before = await Actions(clerk.store).get_task(task_id)
    await clerk.pass_by(30_000, is_away=True)
    await clerk.beat()
    assert await clerk.free() == 0
    async with clerk.store.write() as connection:
        await workers.renew(connection, "one", load=1, health=None)
    after = await Actions(clerk.store).get_task(task_id)
    assert (after.worker_id, after.epoch) == ("one", before.epoch)


async def test_a_clock_that_was_set_judges_nobody(clerk: Clerk) -> None:
    """Not even by less than the gap that an outage makes."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    await clerk.pass_by(workers.LEASE_MS + 1)
    await clerk.beat(afresh=True)
    assert await clerk.free() == 0


@pytest.mark.parametrize("by_ms", [3_600_000, -3_600_000])
async def test_a_clock_that_was_set_far_judges_nobody(clerk: Clerk, by_ms: int) -> None:
    """Whether a service has seen the step or begins behind it."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    async with clerk.store.write() as connection:
        await connection.execute(worker.update().values(lease_ms=worker.c.lease_ms - by_ms))
        await connection.execute(
            pulse.update().values(at_ms=pulse.c.at_ms - by_ms, since_ms=pulse.c.since_ms - 2 * abs(by_ms))
        )
    assert await clerk.free() == 0
    await clerk.beat()
    assert await clerk.free() == 0


async def test_two_services_keep_one_pulse(clerk: Clerk) -> None:
    """The first to write makes the row; none of them fails for it."""
    await asyncio.gather(*(clerk.beat() for _ in range(5)))
    async with clerk.store.read() as connection:
        assert len((await connection.execute(sa.select(pulse))).all()) == 1


async def test_an_attached_worker_is_judged_by_its_service_only(clerk: Clerk) -> None:
    """Which ends its process before it gives its tasks away: no schedule frees them."""
    await clerk.hold_a_task("one", is_attached=True)
    await clerk.beat()
    await clerk.pass_by(10 * workers.LEASE_MS)
    assert await clerk.free() == 0


async def test_a_service_that_begins_again_frees_what_its_former_workers_had(clerk: Clerk) -> None:
    """At once, and not what a worker of its own has: that one may live."""
    mine = await clerk.hold_a_task("child", is_attached=True)
    other = await clerk.hold_a_task("other")
    async with clerk.store.write() as connection:
        assert await workers.free_attached(connection) == 1
        with pytest.raises(LeaseLost):
            await workers.require_lease(connection, "child")
    actions = Actions(clerk.store)
    assert (await actions.get_task(mine)).worker_id is None
    assert (await actions.get_task(other)).worker_id == "other"


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_another_server_proves_nothing(clerk: Clerk) -> None:
    """A promoted standby, or a server that was restarted, may have forgotten renewals that were answered."""
    await clerk.hold_a_task("one")
    await clerk.beat()
    await clerk.pass_by(workers.LEASE_MS + 1)
    async with clerk.store.write() as connection:
        await connection.execute(pulse.update().values(server="another one"))
    await clerk.beat()
    assert await clerk.free() == 0
