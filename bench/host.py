"""One process of relays under measurement. Reads a job a line on standard input, answers each with a line of JSON.

    {"kind": "live" | "vod", "sources": [...], "destinations": [...], "latency": class of the live ones}
                                                               {"started_ns": [...]}, the monotonic clock
    {"add": [[destination, ...], ...]}         {"added": destinations}; further ones of each live relay, in order
    {"report": true}                  {"states": {state: relays}, "dropped_tags" and "lost_packets": of all relays,
                                       "beat_worst_late_ms" and "beat_late_p99_ms": of the beat's turns since the last
                                       report, ms by which they were late}
    {"watch": true or false}          {"watched": n}: whether the content of live relays is watched
    {"preview": true}                 {"address": "host:port", "passes": {task id: pass}}, the id is the relay's number
    {"collect": true}                  {"objects": that the collector knows after a full collection}
    {"stop": true}                                                       {"stopped": relays}; or a number: the latest

Live: one source for each destination; "others" are further destinations of each, as with "add". VOD: every destination
loops the whole list of sources, with "watermark": [file, x, y, ratio] if that is given. It says {"ready": true}
once everything is loaded, so that the empty process can be weighed, and leaves when its input ends.
"""

import asyncio
import gc
import hashlib
import json
import math
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.relay import Destination, Item, Latency, RelaySpec
from streamferry.relay import host as relay_host
from streamferry.relay.beat import Beat
from streamferry.relay.eyes.judge import DEFAULTS, NOTHING
from streamferry.relay.host import Relay, RelayHost

_LINE_MAX = 1 << 20

#: Of each turn since the last report. All visits of a turn are as late as it is.
turns_late_ms: list[float] = []


class TimedBeat(Beat):
    """Tells of each turn by how much it was late, as the beat itself counts it."""

    def _run_slot(self) -> None:
        late_s = time.monotonic() - self._expected[self._next]
        if math.isfinite(late_s):
            turns_late_ms.append(1000 * late_s)
        super()._run_slot()


_AT_A_TIME = 100


#: Of the live relays, in order.
specs: list[RelaySpec] = []


def _others(addresses: list[str]) -> tuple[Destination, ...]:
    return tuple(Destination(f"further {number}", MediaUrl.parse(text)) for number, text in enumerate(addresses))


def _add(relays: list[Relay], others: list[list[str]]) -> dict[str, Any]:
    for i, addresses in enumerate(others):
        relays[i].update(replace(specs[i], others=_others(addresses)))
    return {"added": sum(map(len, others))}


def _watch(relays: list[Relay], *, is_watched: bool) -> dict[str, Any]:
    for relay, spec in zip(relays, specs, strict=True):
        relay.update(replace(spec, watch=DEFAULTS if is_watched else NOTHING))
    return {"watched": len(relays) if is_watched else 0}


def _start(host: RelayHost, job: dict[str, Any], relays: list[Relay]) -> dict[str, Any]:
    live = job["kind"] == "live"
    latency = Latency(job.get("latency", Latency.NORMAL))
    sources = [MediaUrl.parse(source) for source in job["sources"]]
    started_ns = []
    file, *place = job.get("watermark") or [None]
    mark = Watermark.from_file(Path(file), *place) if file else None
    for i, address in enumerate(job["destinations"]):
        started_ns.append(time.monotonic_ns())
        destination = MediaUrl.parse(address)
        if live:
            others = _others(job["others"][i]) if job.get("others") else ()
            spec = RelaySpec.live(sources[i], destination, latency=latency, others=others)
            specs.append(spec)
        else:
            spec = RelaySpec.vod(map(Item, sources), destination, watermark=mark)
        relays.append(host.start(spec))
    return {"started_ns": started_ns}


async def _report(relays: list[Relay]) -> dict[str, Any]:
    late_ms = sorted(turns_late_ms)
    turns_late_ms.clear()
    states, dropped_tags, lost_packets = Counter[str](), 0, 0
    for number, relay in enumerate(relays):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)  # To read all 3,000 in one go takes as long as a whole beat.
        status = relay.status
        states[str(status.state)] += 1
        dropped_tags += status.dropped_tags
        lost_packets += status.lost_packets
    late = {
        "beat_worst_late_ms": max(0.0, late_ms[-1]) if late_ms else 0.0,
        "beat_late_p99_ms": late_ms[99 * len(late_ms) // 100] if late_ms else 0.0,
    }
    return {"states": states, "dropped_tags": dropped_tags, "lost_packets": lost_packets, **late}


async def _offer_previews(stack: AsyncExitStack, relays: list[Relay]) -> dict[str, Any]:
    """Listen as a worker does."""
    # Here, so that it does not weigh on the empty process.
    from streamferry.worker.preview_passes import Passes
    from streamferry.worker.preview_server import PreviewServer

    passes = Passes(lambda text: hashlib.sha256(text.encode()).hexdigest())
    open_viewer = lambda number: relays[int(number)].open_preview()  # noqa: E731
    server = await stack.enter_async_context(PreviewServer("127.0.0.1", passes, open_viewer))
    return {"address": server.address, "passes": {str(i): passes.issue(str(i)) for i in range(len(relays))}}


async def _obey(stack: AsyncExitStack, host: RelayHost, job: dict[str, Any], relays: list[Relay]) -> dict[str, Any]:
    if "kind" in job:
        return _start(host, job, relays)
    if "add" in job:
        return _add(relays, job["add"])
    if "report" in job:
        return await _report(relays)
    if "watch" in job:
        return _watch(relays, is_watched=job["watch"])
    if "preview" in job:
        return await _offer_previews(stack, relays)
    if "collect" in job:
        gc.unfreeze()
        gc.collect()
        objects = len(gc.get_objects())
        gc.freeze()
        return {"objects": objects}
    latest = relays[:] if job["stop"] is True else relays[-job["stop"] :]
    for relay in latest:
        relay.request_stop()
    for relay in latest:
        await relay.wait()
    del relays[len(relays) - len(latest) :]
    return {"stopped": len(latest)}


async def main() -> None:
    """Serve jobs until the input ends."""
    jobs = asyncio.StreamReader(_LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(jobs), sys.stdin)
    relays: list[Relay] = []
    relay_host.Beat = TimedBeat  # type: ignore[misc]
    async with RelayHost() as host, AsyncExitStack() as stack:
        print(json.dumps({"ready": True}), flush=True)
        while line := await jobs.readline():
            print(json.dumps(await _obey(stack, host, json.loads(line), relays)), flush=True)
        await _obey(stack, host, {"stop": True}, relays)


if __name__ == "__main__":
    uvloop.run(main())
