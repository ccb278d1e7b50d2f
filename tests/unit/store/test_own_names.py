"""The name of a worker: a second one under the same name, as on machines that were copied, would run the same tasks."""

import pytest

from streamferry.control.store_ledger import StoreLedger
from streamferry.service.work import require_own_name
from streamferry.store import Store

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("other", ["none", "runs", "died", "left"])
async def test_a_name_is_one_workers(store: Store, other: str) -> None:
    """One that runs is heard of while the second looks; one that has died or left is not, and its name is free."""
    ledger = StoreLedger(store, "films-1", capacity=5)
    if other != "none":
        await ledger.register()
    if other == "left":
        await ledger.leave()
    looks = 0

    async def pause() -> None:
        nonlocal looks
        looks += 1
        if other == "runs":
            await ledger.report([], 0, None)

    if other == "runs":
        with pytest.raises(ValueError, match="films-1 runs already: each needs a name of its own"):
            await require_own_name(store, "films-1", pause)
    else:
        await require_own_name(store, "films-1", pause)
    assert (looks == 0) is (other in ("none", "left"))
