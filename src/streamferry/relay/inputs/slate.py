"""The slate of a run: made and opened when the run begins, for the form that is on air, so that it is there at once.

Until something has been on air it has a form of its own (``prepare.slate``). When the form on air changes another is
made, which takes the place of the first unless that is on air just then.

A card with a clock has one clip for each minute, and only while it is on air: it begins without the time, which comes a
moment later.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from streamferry.media.errors import MediaError
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO
from streamferry.net.folders import EVERYWHERE
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.processing import AS_THEY_ARE
from streamferry.prepare.slate import DEFAULT_FPS, PIXELS, Canvas, slate_clip
from streamferry.prepare.store import PreparedStore
from streamferry.reasons import Reason
from streamferry.relay.backoff import Backoff
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.held import HeldPicture
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.policy import Health
from streamferry.relay.inputs.run_form import RunForm
from streamferry.relay.keeper import RunContext, forget_frames
from streamferry.relay.spec import Item
from streamferry.timeline import Timeline
from streamferry.wire.codecs import avc_frame_rate, parse_sound, parse_video_header, pixel_format

# How often it is looked whether the form on air has changed.
_LOOK_S = 1.0
# So long before its minute a card with a clock is made: twice what that takes of a core, and a look.
_AHEAD_S = 3.0
_MINUTE = timedelta(minutes=1)
_VIDEO_NAMES = {"avc1": "h264", "hvc1": "hevc"}


def wall_clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


def _time_in(zone: str, at: datetime) -> str:
    """What clocks show there; of a zone that this machine does not know, in UTC."""
    try:
        return f"{at.astimezone(ZoneInfo(zone)):%H:%M}"
    except (ValueError, OSError, KeyError):
        return f"{at:%H:%M} UTC"


class SlateInput:
    """A ``RunningInput``, which is not told to close."""

    kept_ms = 0
    #: Whoever made it wants to show what is in it.
    judge = None

    def __init__(
        self,
        context: RunContext,
        slate: Slate,
        flow: LiveFlow,
        scratch: memoryview,
        store: PreparedStore,
        run_form: RunForm,
    ) -> None:
        self.health = Health()
        self.error: MediaError | None = None
        self._context = context
        self._slate = slate
        self._flow = flow
        self._scratch = scratch
        self._store = store
        self._run_form = run_form
        self._clip: ListInput | None = None
        # What takes its place while it is on air, and when.
        self._next: tuple[ListInput, datetime] | None = None
        self._is_shown = False
        #: What was on air last, if that is to be held.
        self.held = HeldPicture(flow.timeline) if slate.kind is SlateKind.LAST_FRAME else None

    @property
    def trouble(self) -> Reason | None:
        """See ``RunningInput``."""
        if self.is_open:
            return None
        error = self.error if self._clip is None else self._clip.error
        return None if error is None else error.why

    @property
    def is_open(self) -> bool:
        """See ``RunningInput``."""
        if self.held is not None and self.held.is_there:
            return True
        return self._clip is not None and self._clip.is_open

    def want(self, is_wanted: bool) -> None:
        """It is always there."""

    def visit(self, now: float) -> None:
        """See ``RunningInput``."""
        if self._clip is not None:
            self._clip.visit(now)

    @property
    def has_next(self) -> bool:
        """Whether it is time to show it anew: another minute has begun."""
        if self._next is None or not self._slate.zones:
            return False
        return self._next[0].is_open and wall_clock() >= self._next[1]

    def take(self, now: float, *, goes_on: bool) -> LiveFeed:
        """See ``RunningInput``."""
        self._is_shown = True
        if self.has_next and self._next is not None:
            self._clip, self._next = self._next[0], None
        if self.held is not None and self.held.is_there:
            return LiveFeed(self.held.inlet(now), self._flow.timeline, self._scratch, now)
        assert self._clip is not None
        return self._clip.take(now, goes_on=goes_on)

    def release(self, now: float) -> None:
        """See ``RunningInput``."""
        self._is_shown = False
        if self._clip is not None:
            self._clip.release(now)

    def lose(self, error: MediaError) -> None:
        """See ``RunningInput``."""
        self._is_shown = False
        if self._clip is not None:
            self._clip.lose(error)

    async def keep(self) -> None:
        """Make it for one form on air after another, and for one minute after another where it has a clock."""
        made_for: tuple[Canvas, Slate] | None = None
        backoff = Backoff()
        async with asyncio.TaskGroup() as group:
            playing: asyncio.Task[None] | None = None
            while True:
                slate, due = self._slate_now()
                canvas = self._brought(canvas_of(self._flow.timeline) or (made_for[0] if made_for else Canvas()))
                if made_for is not None and self._is_made(made_for, canvas, slate):
                    await asyncio.sleep(_LOOK_S)
                    continue
                if self._is_shown and made_for is not None:
                    canvas = made_for[0]
                try:
                    clip = await self._open(canvas, slate)
                except MediaError as error:
                    self.error = error
                    self._context.log.warning("the slate cannot be made: %s", error)
                    await asyncio.sleep(backoff.next_delay())
                    continue
                task = group.create_task(clip.keep(), name="slate")
                task.add_done_callback(forget_frames)
                clip.want(True)
                if self._clip is None:
                    self._clip = clip
                elif not await self._replace(clip, due):
                    task.cancel()
                    continue
                if playing is not None:
                    playing.cancel()
                playing, made_for = task, (canvas, slate)

    def _slate_now(self) -> tuple[Slate, datetime]:
        """What it looks like, and from when on; made a little before its minute."""
        at = wall_clock()
        if not self._slate.zones:
            return self._slate, at
        if not self._is_shown:
            return self._slate.with_clocks(lambda zone: ""), at
        due = (at + timedelta(seconds=_AHEAD_S)).replace(second=0, microsecond=0)
        return self._slate.with_clocks(lambda zone: _time_in(zone, due)), due

    def _is_made(self, made_for: tuple[Canvas, Slate], canvas: Canvas, slate: Slate) -> bool:
        """Whether what is there is of that form, and looks like that."""
        if self._is_shown:
            return slate == made_for[1] or not self._slate.zones or (self.held is not None and self.held.is_there)
        # A frame rate that is only measured is never twice the same.
        return (canvas.form, canvas.pixels, slate) == (made_for[0].form, made_for[0].pixels, made_for[1])

    async def _replace(self, clip: ListInput, due: datetime) -> bool:
        """Let it be the clip: when it is due while the slate is on air, else as soon as it is open. Gives whether it
        is; if not, its minute is over."""
        self._next = clip, due
        while self._next is not None:
            if not self._is_shown and clip.is_open:
                self._clip, self._next = clip, None
            elif self._slate.zones and wall_clock() >= due + _MINUTE:
                self._next = None
                return False
            else:
                await asyncio.sleep(_LOOK_S)
        return True

    def _brought(self, canvas: Canvas) -> Canvas:
        """Into the form that all inputs are brought into."""
        form = self._run_form.form
        return canvas if form is None else replace(canvas, form=Form(form.video, form.audio or canvas.form.audio))

    async def _open(self, canvas: Canvas, slate: Slate) -> ListInput:
        """Raises MediaError."""
        context = self._context
        folders = None
        if slate.kind is SlateKind.CLIP and slate.clip is not None:
            url = slate.clip
        else:
            url = await slate_clip(slate, canvas, self._store.root)
            folders = EVERYWHERE
        spec = replace(spec_of_list(context.spec, [Item(url)]), watermark=None)
        if folders is not None and canvas.pixels != PIXELS[0]:
            # What preparation makes has 8 bits, and colours half as fine.
            spec = replace(spec, normalize=AS_THEY_ARE)
        return ListInput(*(context, spec, self._flow, self._scratch, self._store), form=canvas.form, folders=folders)


def canvas_of(timeline: Timeline) -> Canvas | None:
    """The form on air, by its headers; None while there is no picture, or one that no slate can be made for."""
    video: VideoForm | None = None
    audio: AudioForm | None = None
    fps, pixels = DEFAULT_FPS, PIXELS[0]
    for tag_type, _, body, kind in timeline.headers:
        if kind != SEQUENCE_HEADER:
            continue
        header = bytes(body)
        try:
            if tag_type == VIDEO:
                form = parse_video_header(header)
                video = VideoForm(_VIDEO_NAMES[form.codecs[:4]], form.width, form.height)
                fps = _frame_rate(header, timeline)
                told = pixel_format(header)
                pixels = told if told in PIXELS else PIXELS[0]
            elif tag_type == AUDIO:
                rate_hz, channels = parse_sound(header)
                audio = AudioForm("aac", rate_hz, channels or 2)
        except (ValueError, IndexError, KeyError):
            continue
    return None if video is None else Canvas(Form(video, audio), fps, pixels)


def _frame_rate(header: bytes, timeline: Timeline) -> float:
    """Of a stream that does not say: by how far apart its last pictures were."""
    try:
        told = avc_frame_rate(header)
    except (ValueError, IndexError):
        told = 0.0
    if 1 <= told <= 60:
        return told
    frame_ms = timeline.lead.frame_ms
    return round(1000 / frame_ms) if 16 <= frame_ms <= 1000 else DEFAULT_FPS
