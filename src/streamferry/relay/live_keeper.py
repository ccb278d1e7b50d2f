"""The keeper of a live source that is all there is to show."""

import asyncio
import json
import time

from streamferry.media.errors import SourceError, SourceNeedsEncoding, SourceStalled
from streamferry.prepare.processing import LIVE_ENCODER, Processing
from streamferry.relay.backoff import Backoff
from streamferry.relay.drift import Drift
from streamferry.relay.encoded import EncodedFeed, open_encoded
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.header_forms import Check, check_h264
from streamferry.relay.keeper import RunContext
from streamferry.relay.live_session import LiveSession, session_key
from streamferry.relay.spec import Codecs, Latency, RelaySpec
from streamferry.relay.vitals import Phase
from streamferry.source import FfmpegMemory, SourceMemory, open_live
from streamferry.source.http_flv import HttpFlvInlet
from streamferry.source.rtmp import RtmpInlet
from streamferry.source.ts import TsInlet

#: Attempts that come quickly, before the pauses grow: about a minute. An attempt costs its peer a connection,
#: and the picture should be back within 2 s of the source's return.
_EAGER_ATTEMPTS = 40


class LiveKeeper:
    """``scratch``: the buffer that all live sources of the process receive into. See ``relay.live_end``."""

    def __init__(self, context: RunContext, flow: LiveFlow, scratch: memoryview) -> None:
        self._context = context
        self._flow = flow
        self._scratch = scratch
        self._source = context.vitals.source
        # The drift of its sound, over all its sessions.
        self._drift = Drift()
        self._memory = SourceMemory()
        # What is on air.
        self._session: LiveSession | None = None
        # Whether a session of the source has been there, which the next may repeat.
        self._has_played = False
        # Whether it has to be encoded for its destination: known once it has sent something.
        self._encodes = False

    def take_over(self, session: LiveSession | None) -> None:
        """``keep`` is to go on with that."""
        self._session = session
        # What is known of the source may be of another one, unless it comes with its session.
        self._drift, self._has_played, self._encodes = Drift(), session is not None, False
        if session is not None:
            self._drift, self._memory = session.drift, session.memory
            if isinstance(session.feed, LiveFeed):
                session.feed.check_with(_check(self._context.spec))

    def hand_over(self) -> LiveSession | None:
        """What is on air: it is another's from now on; None if nothing is, or not for longer."""
        session = self._session
        if session is None or session.lost.done():
            return None
        self._session = None
        return session

    async def keep(self) -> None:
        """Play one session after another."""
        context, source = self._context, self._source
        if self._session is not None and self._session.of != _key(context.spec):
            # It was handed over by one who was to show another source.
            self.close()
            self._drift, self._has_played = Drift(), False
        if self._session is None:
            # Of another source nothing is known, but that the last child may still be at the same camera.
            self._memory = SourceMemory(FfmpegMemory(self._memory.children.child))
        backoff = Backoff(eager_attempts=_EAGER_ATTEMPTS)
        while True:
            try:
                if self._session is None:
                    context.note(source, Phase.CONNECTING)
                    self._session = await self._open(backoff.step_s)
                    context.note(source, Phase.UP)
                # Whoever takes the session over waits for the same.
                error = await asyncio.shield(self._session.lost)
                if isinstance(error, SourceNeedsEncoding):
                    context.log.info("%s", error)
                    self._encodes = True
                    continue
                if isinstance(error, SourceStalled) and self._session is not None and self._session.share is not None:
                    self._session.share.give_up()
                backoff.note_session(time.monotonic() - source.since)
            except SourceError as refused:
                error = refused
            finally:
                self.close()
            await context.pause(source, error, backoff)

    def close(self) -> None:
        """Take off the air what is on it."""
        session, self._session = self._session, None
        if session is None:
            return
        session.close(self._flow)
        if isinstance(session.feed, LiveFeed) and (is_mute := session.feed.is_mute) is not None:
            session.memory.is_mute = is_mute

    async def _open(self, pause_s: float) -> LiveSession:
        """Open it and put it on air. ``pause_s``: what would be waited for before another try. Raises SourceError."""
        spec, timeline, memory = self._context.spec, self._flow.timeline, self._memory
        url, mark, silence = spec.items[0].url, spec.watermark, spec.silence
        only_h264 = spec.codecs is Codecs.H264
        drift = None if spec.source_options.keep_drift else self._drift
        network = self._context.network.options(spec.source_options)
        encodes = mark is not None or self._encodes
        is_low = memory.is_low_latency = spec.visits == Latency.LOW.visits
        # Whoever wants the same in the same way shares one pull.
        same = (url.reveal(), json.dumps(spec.source_options.to_json(), sort_keys=True), is_low)
        share = await self._context.pulls.open(
            same, lambda: open_live(url, **network, memory=memory), alone=not encodes
        )
        inlet = share.inlet
        waits_for_publisher = isinstance(share.origin, RtmpInlet | HttpFlvInlet)
        may_replay = self._has_played and (waits_for_publisher or isinstance(share.origin, TsInlet))
        self._has_played = True
        feed: LiveFeed | EncodedFeed
        if encodes:
            processing = Processing(watermark=mark, encoder=LIVE_ENCODER, only_h264=only_h264)
            try:
                feed = await open_encoded(inlet, processing, url, timeline, self._scratch, drift=drift, silence=silence)
            except BaseException:
                share.close()
                raise
        else:
            feed = LiveFeed(
                inlet,
                timeline,
                self._scratch,
                time.monotonic(),
                drift=drift,
                silence=silence,
                outlet=self._context.flow.outlet,
                may_replay=may_replay,
                # Servers let players wait for a publisher: then its picture is there at once, and after a pause not.
                first_media_s=pause_s if waits_for_publisher else 0.0,
                check=_check(spec),
                was_mute=memory.is_mute,
            )
            share.pulled_by(feed)
        lost = self._flow.attach_feed(feed, time.monotonic())
        return LiveSession(_key(spec), feed, lost, share, encodes, self._drift, memory)

    def update(self, before: RelaySpec) -> bool:
        """The context's spec has changed; gives whether another session is needed: then ``keep`` is begun anew."""
        if _key(self._context.spec) == _key(before):
            return False
        self._encodes = False
        if self._context.spec.items != before.items:
            self._drift = Drift()
            self._has_played = False
        return True

    def encode(self) -> None:
        """Nothing more of what was sent so far may be sent. ``keep`` is begun anew, and encodes."""
        self._flow.forget_feed()
        self._encodes = True


def _check(spec: RelaySpec) -> Check | None:
    return check_h264 if spec.codecs is Codecs.H264 else None


def _key(spec: RelaySpec) -> tuple[object, ...]:
    return session_key(spec.inputs[0], spec)
