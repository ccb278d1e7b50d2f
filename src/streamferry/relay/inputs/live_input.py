"""One live input: open while it is wanted, pulled while it is open, on air or not."""

import asyncio
import math
import time
from collections.abc import Sequence

from streamferry.media.errors import MediaError, SourceError, SourceNeedsEncoding, SourceStalled
from streamferry.media.tag import Tag
from streamferry.prepare.form import Form
from streamferry.prepare.processing import LIVE_ENCODER, Processing
from streamferry.reasons import Code, Reason
from streamferry.relay.backoff import Backoff
from streamferry.relay.drift import Drift
from streamferry.relay.encoded import EncodedFeed, open_encoded
from streamferry.relay.eyes.judge import Judge
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.header_forms import check_h264
from streamferry.relay.inputs.content import InputContent
from streamferry.relay.inputs.feed_inlet import FeedInlet
from streamferry.relay.inputs.policy import Health
from streamferry.relay.inputs.run_form import RunForm
from streamferry.relay.inputs.standby import Standby
from streamferry.relay.keeper import RunContext
from streamferry.relay.live_session import LiveSession, session_key
from streamferry.relay.spec import Codecs, Input, Latency
from streamferry.source import LiveInlet, SourceMemory, open_live
from streamferry.source.http_flv import HttpFlvInlet
from streamferry.source.rtmp import RtmpInlet
from streamferry.source.shared import Share
from streamferry.source.ts import TsInlet
from streamferry.timeline import Timeline

# As of a source that is alone (``relay.live_keeper``): about a minute of quick attempts, then the pauses grow.
_EAGER_ATTEMPTS = 40
#: An input that a file is played over is as well as it was while it sends, though its next keyframe may take so long:
#: encoders set them up to 10 s apart by default (x264: 250 frames).
KEYFRAME_S = 15.0


class LiveInput:
    """A ``RunningInput``. ``scratch``: the buffer that all live sources of the process receive into.

    It is opened as it is. If the first of it is of another form than it is to have, it is opened again and encoded.
    ``session``: what is on air of it already.
    """

    def __init__(
        self,
        context: RunContext,
        spec: Input,
        flow: LiveFlow,
        scratch: memoryview,
        run_form: RunForm,
        *,
        session: LiveSession | None = None,
    ) -> None:
        self.health = Health()
        self._content = InputContent(context, self.health, None if session is None else context.watching)
        self.error: MediaError | None = None
        self._context = context
        self._spec = spec
        self._flow = flow
        self._scratch = scratch
        self._wanted = asyncio.Event()
        self._inlet: LiveInlet | None = None
        self._standby: Standby | None = None
        self._feed: LiveFeed | EncodedFeed | None = None
        self._share: Share | None = None
        # What the open session was opened for.
        self._of: tuple[object, ...] = ()
        # Set with the error of the session that is open; None: it is not wanted any more.
        self._lost: asyncio.Future[MediaError | None] | None = None
        # The drift of its sound, over all its sessions.
        self._drift = Drift()
        self._memory = SourceMemory()
        self._run_form = run_form
        self._encodes = False
        # The form that the open session is encoded to, if that was known when it was opened.
        self._made_form: Form | None = None
        # When a file began over it, in the session that is open.
        self._aside_at = -math.inf
        # When the open session last had something to begin with, or began.
        self._had_start_at = math.inf
        if session is not None:
            self._take_over(session)

    def _take_over(self, session: LiveSession) -> None:
        self._wanted.set()
        self._lost = asyncio.get_running_loop().create_future()
        self._of, self._feed, self._share = session.of, session.feed, session.share
        self._inlet = FeedInlet(session.feed) if isinstance(session.feed, EncodedFeed) else session.feed.inlet
        self._drift, self._memory, self._encodes = session.drift, session.memory, session.is_encoded
        if isinstance(session.feed, LiveFeed):
            session.feed.check_with(self._check)
        if self._share is not None:
            self._share.pulled_by(self)
        self.health.note_alive(time.monotonic(), self._context.spec.switching.switch_after_s)

    def hand_over(self, lost: "asyncio.Future[SourceError]") -> LiveSession:
        """It is on air, and another's from now on. ``lost``: how the flow says that it ended."""
        assert self._feed is not None
        session = LiveSession(*(self._of, self._feed, lost, self._share, self._is_encoded, self._drift, self._memory))
        if self._share is not None and isinstance(self._feed, LiveFeed):
            self._share.pulled_by(self._feed)
        self._feed = self._inlet = self._share = None
        return session

    @property
    def source_headers(self) -> list[Tag]:
        """See ``source.shared.SoleFeed``."""
        if self._feed is not None:
            return self._feed.source_headers
        return [] if self._standby is None else self._standby.headers

    def read_from(self, inlet: LiveInlet) -> None:
        """See ``source.shared.SoleFeed``."""
        self._inlet = inlet
        if isinstance(self._feed, LiveFeed):
            self._feed.read_from(inlet)
        if self._standby is not None:
            self._standby.read_from(inlet)

    @property
    def feed(self) -> LiveFeed | EncodedFeed | None:
        """What the flow pulls, while it is on air."""
        return self._feed

    @property
    def has_session(self) -> bool:
        """Whether a session of it is open, on air or not."""
        return self._inlet is not None

    @property
    def trouble(self) -> Reason | None:
        """See ``RunningInput``."""
        if self.health.content is not None:
            return self.health.content
        return None if self.error is None or not self._wanted.is_set() else self.error.why

    @property
    def is_open(self) -> bool:
        """See ``RunningInput``."""
        return self._standby is not None and self._standby.has_start

    def step_aside(self, now: float) -> None:
        """A file is played over it."""
        self._aside_at = now

    def waits_for_keyframe(self, now: float) -> bool:
        """Whether it sends, and could go on after a break but for its next keyframe."""
        is_sending = self.health.is_sending(now, self._context.spec.switching.switch_after_s)
        return is_sending and self._standby is not None and not self._standby.has_start

    @property
    def judge(self) -> Judge | None:
        """See ``RunningInput``."""
        return self._content.judge

    @property
    def kept_ms(self) -> int:
        """See ``RunningInput``."""
        return self._standby.kept_ms if self._standby is not None else 0

    @property
    def kept(self) -> list[Tag]:
        """The headers and the group of pictures that it would begin with."""
        return [] if self._standby is None else self._standby.take()

    def want(self, is_wanted: bool) -> None:
        """See ``RunningInput``."""
        if is_wanted == self._wanted.is_set():
            return
        if is_wanted:
            self._wanted.set()
        else:
            self._wanted.clear()
            if self._lost is not None and not self._lost.done():
                self._lost.set_result(None)

    def visit(self, now: float) -> None:
        """See ``RunningInput``."""
        pause_s = self._context.spec.switching.switch_after_s
        if (feed := self._feed) is not None:
            self._had_start_at = now
            if feed.has_laid and feed.media_at > self.health.alive_at:
                self.health.note_alive(feed.media_at, pause_s)
        elif (standby := self._standby) is not None:
            try:
                standby.pull(now)
            except SourceError as error:
                self.lose(error)
            else:
                if standby.has_start:
                    self.error, self._had_start_at = None, now
                elif now - self._had_start_at >= KEYFRAME_S:
                    # Told once.
                    self.error, self._had_start_at = SourceStalled(Code.SOURCE_NOT_BEGUN), math.inf
                may_begin = standby.has_start or now - self._aside_at < KEYFRAME_S
                if may_begin and standby.media_at == now:
                    self.health.note_alive(now, pause_s)
        self._content.visit(now, self._standby, is_on_air=feed is not None)

    def take(self, now: float, *, goes_on: bool) -> LiveFeed:
        """See ``RunningInput``."""
        assert self._inlet is not None
        assert self._standby is not None
        kept, is_mute, self._standby = self._standby.take(), self._standby.is_mute, None
        spec = self._context.spec
        self._feed = LiveFeed(
            *(self._inlet, self._flow.timeline, self._scratch, now),
            drift=self._heard_drift if not self._is_encoded else None,
            silence=spec.silence,
            outlet=self._flow.outlet,
            check=self._check,
            silence_as=self._run_form.sound,
            may_replay=goes_on and isinstance(self._inlet, RtmpInlet | HttpFlvInlet | TsInlet),
            was_mute=is_mute,
            kept=kept,
            lost_before=self._inlet.lost_packets,
        )
        return self._feed

    def release(self, now: float) -> None:
        """See ``RunningInput``."""
        headers = [] if self._feed is None else self._feed.source_headers
        if isinstance(self._feed, EncodedFeed):
            self._feed.lay_apart()
            self._inlet = FeedInlet(self._feed)
        self._feed = None
        if self._inlet is not None:
            self._standby = self._stand_by(self._inlet, now, headers=headers)

    def lose(self, error: MediaError) -> None:
        """See ``RunningInput``."""
        self._feed = self._standby = None
        self.health.note_gone()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)

    async def keep(self) -> None:
        """See ``RunningInput``."""
        backoff = Backoff(eager_attempts=_EAGER_ATTEMPTS)
        while True:
            await self._wanted.wait()
            error: MediaError | None = None
            opened_at = time.monotonic()
            try:
                if self._lost is None:
                    self._lost = await self._open(backoff.step_s)
                    opened_at = time.monotonic()
                error = await self._lost
                if isinstance(error, SourceStalled) and self._share is not None:
                    self._share.give_up()
            except SourceError as refused:
                error = refused
            finally:
                self._close()
            if error is None:
                continue
            error.forget_trace()
            if isinstance(error, SourceNeedsEncoding):
                self._context.log.info("%s", error)
                self._encodes = True
                continue
            self.error = error
            backoff.note_session(time.monotonic() - opened_at)
            self._context.log.info("an input was lost: %s", error)
            self._context.on_attempt()
            await asyncio.sleep(max(backoff.next_delay(), error.retry_after_s))

    @property
    def _heard_drift(self) -> Drift | None:
        return None if self._spec.options.keep_drift else self._drift

    @property
    def _is_encoded(self) -> bool:
        return self._encodes or self._context.spec.watermark is not None

    async def _open(self, pause_s: float) -> "asyncio.Future[MediaError | None]":
        """Gives how it is told that it ended. ``pause_s``: what would be waited for before another try. Raises
        SourceError."""
        spec, memory = self._context.spec, self._memory
        memory.is_low_latency = spec.visits == Latency.LOW.visits
        url = self._spec.items[0].url
        inlet: LiveInlet = await open_live(url, **self._context.network.options(self._spec.options), memory=memory)
        # Servers let players wait for a publisher: then its picture is there at once, and after a pause not.
        first_media_s = pause_s if isinstance(inlet, RtmpInlet | HttpFlvInlet) else 0.0
        if self._is_encoded:
            form = self._made_form = self._run_form.form
            only_h264 = spec.codecs is Codecs.H264
            processing = Processing(watermark=spec.watermark, encoder=LIVE_ENCODER, only_h264=only_h264, form=form)
            inlet = FeedInlet(
                await open_encoded(
                    *(inlet, processing, url, Timeline(), self._scratch), drift=self._heard_drift, silence=spec.silence
                )
            )
        self._inlet, self._of, self._had_start_at = inlet, session_key(self._spec, spec), time.monotonic()
        self._standby = self._stand_by(inlet, time.monotonic(), first_media_s)
        return asyncio.get_running_loop().create_future()

    def _stand_by(
        self, inlet: LiveInlet, now: float, first_media_s: float = 0.0, headers: Sequence[Tag] = ()
    ) -> Standby:
        return Standby(inlet, self._scratch, now, first_media_s=first_media_s, check=self._check, headers=headers)

    def check_form(self) -> None:
        """More is known of the form that it is to have: if it is another, it is opened again."""
        if self._standby is not None:
            try:
                self._check(self._standby.headers)
            except SourceNeedsEncoding as error:
                self.lose(error)

    def _check(self, tags: Sequence[Tag]) -> None:
        """See ``relay.header_forms``. Whatever was encoded to that form is taken as it is."""
        if self._made_form is None or self._made_form != self._run_form.form:
            self._run_form.check(tags)
        if self._context.spec.codecs is Codecs.H264 and not self._is_encoded:
            check_h264(tags)

    def _close(self) -> None:
        self._standby = self._lost = self._made_form = None
        self._aside_at = -math.inf
        if self._feed is not None:
            # On air: its flow drops it.
            self._feed = None
        if self._inlet is not None:
            self._inlet.close()
            self._inlet = None
        if self._share is not None:
            self._share.close()
            self._share = None
        self.health.note_gone()
