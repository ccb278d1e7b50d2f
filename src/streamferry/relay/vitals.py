"""Vitals: what is known about a run's two ends and the media between them, and the state that follows from it.

The state is computed, never set:

    first rule that holds                                     state
    an end lost its session and waits or connects again       retrying, with that end's fault and reason
      (a list only when it has nothing left to play)
    both ends up, media and acknowledgements < FRESH_S old    streaming
    a file is being prepared and nothing plays                preparing
    a session was lost, and nothing streamed since            retrying, with what was lost
    both ends up for FRESH_S                                  stalled, with the fault of the end that does not move
    the source up for FRESH_S, without a frame to begin with  stalled, with the fault of the source
    anything else                                             connecting

In addition there is the trouble: it begins with a verdict that has a fault, and ends when the run has streamed for
CALM_S. So a run that keeps retrying looks the same at every moment, and not as if it had just begun.
"""

import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from streamferry.media.errors import Fault, MediaError
from streamferry.push import Outlet
from streamferry.push.session import Link
from streamferry.reasons import Code, Reason
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.flow import Flow
from streamferry.relay.status import RelayStatus, State, Totals, Trouble

#: A run streams while media moved and the destination acknowledged bytes within this long.
FRESH_S = 3.0
#: Trouble is over when the run has streamed this long: peers that accept a session and drop it some seconds later are
#: the most common trouble.
CALM_S = 10.0
#: Rates are taken over at least this long.
_RATE_S = 1.0
_SENDS_NOTHING = Reason.of(Code.SOURCE_SENDS_NOTHING)
_NOT_BEGUN = Reason.of(Code.SOURCE_NOT_BEGUN)
_TAKES_NOTHING = Reason.of(Code.DESTINATION_TAKES_NOTHING)

#: State, whose fault it is, and why.
Verdict = tuple[State, Fault | None, Reason | None]


class Phase(Enum):
    """The phase of one end of the run."""

    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    RETRYING = "retrying"


@dataclass(slots=True)
class End:
    """One end of the run, as its keeper sees it."""

    phase: Phase = Phase.IDLE
    since: float = 0.0
    error: MediaError | None = None
    #: Of the source: up to then what was sent ahead of its time lasts, and nothing is sent on purpose.
    lasts_until: float = 0.0
    #: Why it failed when that was last logged.
    logged: Reason | None = None

    def enter(self, phase: Phase) -> None:
        """Note a change. An end that reconnects remains retrying until it is up."""
        if phase is Phase.CONNECTING and self.phase is Phase.RETRYING:
            return
        self.phase = phase
        self.since = time.monotonic()


class Vitals:
    """Used at each inspection (``flow.INSPECT_S``), and whenever the status is read.

    ``trouble``: that of the previous run when it ended. Of a further destination: its ``outlet``, and the ``source``
    that all share. Its state is what that of the run were if it had no other.
    """

    def __init__(
        self, flow: Flow, trouble: Trouble | None = None, *, outlet: Outlet | None = None, source: End | None = None
    ) -> None:
        self._flow = flow
        self._outlet = outlet or flow.outlet
        self.source = source or End()
        self.destination = End()
        #: The feed of a list of files.
        self.list_feed: FileFeed | None = None
        self.preparing_percent: float | None = None
        self.retries: Counter[Fault] = Counter()
        self.has_streamed = False
        self.trouble = trouble
        self._failures = trouble.tries if trouble is not None else 0
        self._has_recovered = not self._failures
        self._streams_since: float | None = None
        self._streamed_at = -CALM_S
        self._media_ms = 0
        self._media_at = 0.0
        self._rated_at = time.monotonic()
        self._rated_bytes = (0, 0)
        self._kbps = (0, 0)
        self._link: Link | None = None

    def note_failure(self, end: End, error: MediaError) -> None:
        """A session of one end was lost, or could not be opened."""
        end.error = error
        self.retries[error.fault] += 1
        self._failures += 1
        self._has_recovered = False

    def note_end(self, fault: Fault, why: Reason) -> None:
        """The run has failed for good."""
        self.trouble = Trouble(fault, why, self._failures)

    def observe(self, now: float) -> Verdict:
        """Note what moved since the last inspection, and judge."""
        flow = self._flow
        media_ms = self._outlet.media_time_ms
        if media_ms != self._media_ms:
            self._media_ms, self._media_at = media_ms, now
        elapsed_s = now - self._rated_at
        if elapsed_s >= _RATE_S:
            counts = (flow.bytes_in, self._outlet.bytes_out)
            kbps_in, kbps_out = (
                round((count - before) / 125 / elapsed_s)
                for count, before in zip(counts, self._rated_bytes, strict=True)
            )
            self._kbps = (kbps_in, kbps_out)
            self._rated_at, self._rated_bytes = now, counts
            self._link = self._outlet.session.link if self._outlet.session is not None else None
        verdict = self.judge(now)
        self._follow(verdict, now)
        return verdict

    def has_streamed_lately(self, now: float) -> bool:
        """Whether it has streamed within CALM_S."""
        return self.has_streamed and now - self._streamed_at < CALM_S

    @property
    def kbps_out(self) -> int:
        """How fast media leaves; 0 while that is not known."""
        return self._kbps[1]

    @property
    def has_rate(self) -> bool:
        """Whether it is known how fast media leaves."""
        return self._kbps[1] > 0

    def _follow(self, verdict: Verdict, now: float) -> None:
        """Begin, continue or end the trouble."""
        state, fault, why = verdict
        if state is not State.STREAMING:
            self._streams_since = None
        else:
            self.has_streamed = self._has_recovered = True
            self._streamed_at = now
            self._streams_since = now if self._streams_since is None else self._streams_since
            if now - self._streams_since >= CALM_S:
                self.trouble, self._failures = None, 0
        if fault is not None and why is not None:
            self.trouble = Trouble(fault, why, self._failures)

    @property
    def _moved_at(self) -> float:
        """Up to when media has moved, or need not."""
        return max(self.source.lasts_until, min(self._media_at, self._outlet.last_progress_at))

    def judge(self, now: float) -> Verdict:
        """The table of the module's docstring."""
        source, destination, outlet, feed = self.source, self.destination, self._outlet, self.list_feed
        plays_on = feed is not None and not feed.is_waiting
        for end in (destination, source):
            if end.phase is Phase.RETRYING and end.error is not None and not (end is source and plays_on):
                return State.RETRYING, end.error.fault, end.error.why
        are_up = (source.phase is Phase.UP or plays_on) and destination.phase is Phase.UP
        if are_up and outlet.has_acked and now - self._moved_at < FRESH_S:
            return State.STREAMING, None, None
        if feed is not None and feed.is_waiting:
            return State.PREPARING, None, None
        if self.trouble is not None and not self._has_recovered:
            return State.RETRYING, self.trouble.fault, self.trouble.why
        if are_up and now - max(source.since, destination.since) >= FRESH_S:
            gives_nothing = now - self._media_at >= FRESH_S and not outlet.is_backed_up
            if gives_nothing and not (feed is not None and feed.finished.is_set()):
                return self._idle_source(now)
            return State.STALLED, Fault.USER_DESTINATION, _TAKES_NOTHING
        is_idle = source.phase is Phase.UP and destination.phase is Phase.IDLE
        if is_idle and now - max(source.since, destination.since) >= FRESH_S:
            return self._idle_source(now)
        return State.CONNECTING, None, None

    def _idle_source(self, now: float) -> Verdict:
        """Nothing of what the source sends, if anything, can be sent on."""
        sends = now - self._flow.media_at < FRESH_S
        return State.STALLED, Fault.USER_SOURCE, _NOT_BEGUN if sends else _SENDS_NOTHING

    def status(self, verdict: Verdict) -> RelayStatus:
        """The status with this verdict and all counters as they are now."""
        state, fault, why = verdict
        flow, outlet, feed = self._flow, self._outlet, self.list_feed
        kbps_in, kbps_out = (0, 0) if state.is_final else self._kbps
        link = None if state.is_final or outlet.session is None else self._link
        return RelayStatus(
            state=state,
            media_time_ms=outlet.media_time_ms,
            bytes_in=flow.bytes_in,
            bytes_out=outlet.bytes_out,
            kbps_in=kbps_in,
            kbps_out=kbps_out,
            dropped_tags=outlet.dropped_tags,
            lost_ms=outlet.lost_ms,
            lost_packets=flow.lost_packets,
            rtt_ms=link.tcp.rtt_ms if link else None,
            retransmits=link.tcp.retransmits if link else None,
            delivery_kbps=link.tcp.delivery_kbps if link else None,
            server_ack_s=link.server_ack_s if link else None,
            retries=self.retries.total(),
            repairs=flow.repairs,
            sound_drift_ms=flow.sound_drift_ms,
            playhead=feed.playhead if feed else None,
            item_end_ms=feed.item_end_ms if feed else None,
            preparing_percent=self.preparing_percent if state is State.PREPARING else None,
            fault=fault,
            why=why,
            trouble=self.trouble,
        )

    def totals(self) -> Totals:
        """What the run has done."""
        flow, outlet = self._flow, self._outlet
        return Totals(flow.bytes_in, outlet.bytes_out, outlet.dropped_tags, flow.repairs, self.retries)
