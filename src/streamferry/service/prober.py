"""Prober: inspects an address in a child process, limited in number and time, under the egress policy."""

import asyncio
import contextlib
import json
import os
import signal
import sys

from streamferry.config import Settings
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.egress_proxy import open_egress_proxy
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.process import child_environment
from streamferry.net.trust import client_context
from streamferry.prepare.route import Route
from streamferry.reasons import Code, Reason
from streamferry.tasks.errors import ProbeFailed, ProberBusy
from streamferry.web.operation_views import ProbeView
from streamferry.worker.egress import Egress, decide_allow

#: Probes at a time, since the machine also relays. Further requests wait, and are refused if others already wait.
AT_ONCE = 2
_MAX_WAITING = 8
#: From the start of the child to its answer.
TIMEOUT_S = 45.0


class Prober:
    """Call it with a checked address and the number of seconds to inspect."""

    def __init__(self, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._allow = decide_allow(Egress(settings.egress))
        self._folders = settings.folders
        self._buckets = settings.buckets
        self._authorities = client_context(settings.ca_file).beside
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, url: MediaUrl, seconds: float) -> ProbeView:
        """What was found. Raises ProberBusy, ProbeFailed; their sentences contain no secret."""
        if self._waiting >= _MAX_WAITING:
            raise ProberBusy
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            told = await self._ask(url, seconds)
        finally:
            self._places.release()
        if "problem" in told:
            raise ProbeFailed(Reason.from_json(told["problem"]))
        return ProbeView.model_validate(told["found"])

    async def _ask(self, url: MediaUrl, seconds: float) -> dict[str, object]:
        egress_proxy = await open_egress_proxy(self._allow, Deadlines())
        proxy = egress_proxy.address if egress_proxy else ""
        route = Route.to(url, proxy=proxy, authorities=self._authorities, buckets=self._buckets)
        order = {
            "url": url.reveal(),
            "ffmpeg": ffmpeg_program(),
            "seconds": seconds,
            "route": route.to_json(),
            "folders": self._folders.to_json(),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _run_child(json.dumps(order).encode() + b"\n")
        except TimeoutError:
            late = Reason.of(Code.ACTION_PROBE_TIMED_OUT, url=url.redacted, seconds=self._timeout_s)
            return {"problem": late.to_json()}
        finally:
            if egress_proxy is not None:
                egress_proxy.close()


async def _run_child(order: bytes) -> dict[str, object]:
    """The child's answer. On cancellation the child and whatever it has started are killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "streamferry.prepare.probe_child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
    )
    try:
        answer, _ = await process.communicate(order)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    try:
        told: dict[str, object] = json.loads(answer)
    except ValueError:
        return {"problem": Reason.of(Code.ACTION_PROBE_SILENT).to_json()}
    return told
