"""The keeper of a live source."""

import json
import time

from streamferry.media.errors import MediaError, SourceError, SourceNeedsEncoding, SourceStalled
from streamferry.prepare.processing import LIVE_ENCODER, Processing
from streamferry.relay.backoff import Backoff
from streamferry.relay.drift import Drift
from streamferry.relay.encoded import EncodedFeed, open_encoded
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.header_forms import check_h264
from streamferry.relay.keeper import KeeperTask, RunContext
from streamferry.relay.spec import Codecs, Latency, RelaySpec
from streamferry.relay.status import Playhead
from streamferry.relay.vitals import Phase
from streamferry.source import FfmpegMemory, SourceMemory, open_live
from streamferry.source.http_flv import HttpFlvInlet
from streamferry.source.rtmp import RtmpInlet
from streamferry.source.shared import Share
from streamferry.source.ts import TsInlet

#: Attempts that come quickly, before the pauses grow: about a minute. An attempt costs its peer a connection,
#: and the picture should be back within 2 s of the source's return.
_EAGER_ATTEMPTS = 40


class LiveKeeper:
    """A ``SourceKeeper``. ``scratch``: the buffer that all live sources of the process receive into."""

    skipped: MediaError | None = None

    def __init__(self, context: RunContext, flow: LiveFlow, scratch: memoryview) -> None:
        self._context = context
        self._flow = flow
        self._scratch = scratch
        self._source = context.vitals.source
        # The drift of its sound, over all its sessions.
        self._drift = Drift()
        self._memory = SourceMemory()
        # Its part of the pull that is open.
        self._share: Share | None = None
        # Whether a session of the source has been there, which the next may repeat.
        self._has_played = False
        # Whether it has to be encoded for its destination: known once it has sent something.
        self._encodes = False
        self.task = KeeperTask("source", self._source)

    def where_now(self) -> Playhead | None:
        """A live source is always where it is."""
        return self._context.spec.playhead

    async def keep(self) -> None:
        """Play one session after another."""
        self._encodes = False
        await self._keep()

    async def _keep(self) -> None:
        context, flow, source = self._context, self._flow, self._source
        backoff = Backoff(eager_attempts=_EAGER_ATTEMPTS)
        # Of another source nothing is known, but that the last child may still be at the same camera.
        memory = self._memory = SourceMemory(FfmpegMemory(self._memory.children.child))
        while True:
            context.note(source, Phase.CONNECTING)
            try:
                feed = await self._open(memory, backoff.step_s)
                lost = flow.attach_feed(feed, time.monotonic())
                context.note(source, Phase.UP)
                try:
                    error = await lost
                finally:
                    flow.detach_feed()
                    if isinstance(feed, LiveFeed) and (is_mute := feed.is_mute) is not None:
                        memory.is_mute = is_mute
                if isinstance(error, SourceNeedsEncoding):
                    context.log.info("%s", error)
                    self._encodes = True
                    continue
                if isinstance(error, SourceStalled) and self._share is not None:
                    self._share.give_up()
                backoff.note_session(time.monotonic() - source.since)
            except SourceError as refused:
                error = refused
            finally:
                if self._share is not None:
                    self._share.close()
                    self._share = None
            await context.pause(source, error, backoff)

    async def _open(self, memory: SourceMemory, pause_s: float) -> LiveFeed | EncodedFeed:
        """``pause_s``: what would be waited for before another try."""
        spec, timeline = self._context.spec, self._flow.timeline
        url, mark, silence = spec.items[0].url, spec.watermark, spec.silence
        only_h264 = spec.codecs is Codecs.H264
        drift = None if spec.source_options.keep_drift else self._drift
        network = self._context.network.options(spec.source_options)
        encodes = mark is not None or self._encodes
        is_low = memory.is_low_latency = spec.visits == Latency.LOW.visits
        # Whoever wants the same in the same way shares one pull.
        same = (url.reveal(), json.dumps(spec.source_options.to_json(), sort_keys=True), is_low)
        share = self._share = await self._context.pulls.open(
            same, lambda: open_live(url, **network, memory=memory), alone=not encodes
        )
        inlet = share.inlet
        waits_for_publisher = isinstance(share.origin, RtmpInlet | HttpFlvInlet)
        may_replay = self._has_played and (waits_for_publisher or isinstance(share.origin, TsInlet))
        self._has_played = True
        if not encodes:
            outlet = self._context.flow.outlet
            feed = LiveFeed(
                inlet,
                timeline,
                self._scratch,
                time.monotonic(),
                drift=drift,
                silence=silence,
                outlet=outlet,
                may_replay=may_replay,
                # Servers let players wait for a publisher: then its picture is there at once, and after a pause not.
                first_media_s=pause_s if waits_for_publisher else 0.0,
                check=check_h264 if only_h264 else None,
                was_mute=memory.is_mute,
            )
            share.pulled_by(feed)
            return feed
        processing = Processing(watermark=mark, encoder=LIVE_ENCODER, only_h264=only_h264)
        return await open_encoded(inlet, processing, url, timeline, self._scratch, drift=drift, silence=silence)

    def update(self, before: RelaySpec) -> None:
        """Play the other source, in the publish session that is open."""
        if self._context.spec.items != before.items:
            self._drift = Drift()
            self._has_played = False
        self.task.restart(self.keep)

    def encode(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``: it is opened anew, through the encoder."""
        self._flow.forget_feed()
        self._encodes = True
        self.task.restart(self._keep)

    def follow_orders(self, before: RelaySpec) -> None:
        """Does nothing: there is nothing else to show."""

    def look(self, now: float) -> None:
        """Does nothing: the flow checks it."""

    async def catch_up(self) -> None:
        """Does nothing: what was missed of a live source is lost."""
