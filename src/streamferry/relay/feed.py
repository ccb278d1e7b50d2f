"""The feed of a live source, which its flow pulls tags from. It follows its source's pace. A list has ``file_feed``."""

from collections.abc import Sequence

from streamferry.media.errors import SourceError, SourceStalled
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, SEQUENCE_HEADER, VIDEO, LaidTag, Tag
from streamferry.prepare.form import AudioForm
from streamferry.push import Outlet
from streamferry.reasons import Code
from streamferry.relay.drift import Drift
from streamferry.relay.fast_loops import AnyFastPath, fast_path
from streamferry.relay.header_forms import Check
from streamferry.relay.past import Past
from streamferry.relay.silence import SOUND_PATIENCE_MS, Silence
from streamferry.source.live import LiveInlet
from streamferry.timeline import Timeline

#: If media arrives for this long and none of it can be laid, it has no keyframes: three times the longest default
#: keyframe interval of encoders (x264: 250 frames).
UNUSABLE_S = 30.0
#: Sound that goes on for this long without its picture is that of a camera that hangs: the timeline lets sound wait as
#: long for a picture. None to miss is one that did not come for PICTURE_SEEN_S, such as what a server had kept, and one
#: that does not move: slides beside a radio may be minutes apart.
PICTURE_LOST_S = 15.0
PICTURE_SEEN_S = 3.0


class LiveFeed:
    """One live session. ``pull`` raises SourceError when the session is over.

    ``silence``: whether a source without sound gets a silent track; ``drift``: corrects the drift of its sound;
    ``outlet``: where the fast path leads, if it may be taken; ``may_replay``: it may begin with what was sent before;
    ``first_media_s``: for so long its first media is waited for. ``check``: sees what the fast path has not taken,
    before anything of it is laid. ``silence_as``: the form of silence. ``was_mute``: the session before had no sound.
    ``kept``: what was received of it before, and comes first. ``lost_before``: packets that its inlet had lost before.
    """

    __slots__ = (
        "_began_at",
        "_bytes_in",
        "_check",
        "_drift",
        "_fills",
        "_first_media_s",
        "_inlet",
        "_kept",
        "_lost_before",
        "_media_at",
        "_outlet",
        "_past",
        "_picture_at",
        "_scratch",
        "_silence",
        "_timeline",
        "fast_path",
        "has_laid",
    )

    def __init__(
        self,
        inlet: LiveInlet,
        timeline: Timeline,
        scratch: memoryview,
        now: float,
        *,
        silence: bool = False,
        drift: Drift | None = None,
        outlet: Outlet | None = None,
        may_replay: bool = False,
        first_media_s: float = 0.0,
        check: Check | None = None,
        silence_as: AudioForm | None = None,
        was_mute: bool = False,
        kept: Sequence[Tag] = (),
        lost_before: int = 0,
    ) -> None:
        self._inlet = inlet
        self._lost_before = lost_before
        self._timeline = timeline
        self._scratch = scratch
        self._media_at = now
        self._first_media_s = first_media_s
        self._began_at = now
        #: Whether a frame of it was laid.
        self.has_laid = False
        self._kept = kept
        self._picture_at = now
        self._drift = drift
        if drift is not None:
            drift.begin_session()
        self._fills = silence
        self._silence = Silence(is_known=inlet.is_mute or was_mute, form=silence_as) if silence else None
        self._outlet = outlet
        self._bytes_in = 0
        self._check = check
        #: To be asked first at each visit; None while nothing is simple.
        self.fast_path: AnyFastPath | None = None
        self._past: Past | None = None
        if may_replay:
            # Sound that is restamped is on another clock than the one that it had before.
            self._past = Past(timeline, now, may_continue=drift is None or not drift.is_correcting)
        else:
            timeline.begin_live()
        self._open_fast_path()

    def _open_fast_path(self) -> None:
        if self._outlet is not None and self._silence is None and self._past is None and not self._timeline.reads_sets:
            self.fast_path = fast_path(self._inlet, self._timeline, self._outlet, self._drift, self._scratch)

    @property
    def bytes_in(self) -> int:
        """Bytes received in this session."""
        return self._bytes_in + (self.fast_path.bytes_in if self.fast_path else 0)

    @property
    def media_at(self) -> float:
        """See ``relay.flow.Feed``."""
        return max(self._media_at, self.fast_path.media_at) if self.fast_path else self._media_at

    @property
    def picture_at(self) -> float:
        """When a picture last came."""
        return max(self._picture_at, self.fast_path.picture_at) if self.fast_path else self._picture_at

    @property
    def is_mute(self) -> bool | None:
        """Whether its source has no sound, where silence is filled in; None: not known yet."""
        if self._silence is None:
            return False
        return True if self._silence.is_all else None

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""
        return self._drift.sound_ms if self._drift is not None else None

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet.lost_packets``."""
        return self._inlet.lost_packets - self._lost_before

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Receive once, unless the fast path has, and lay what came; bodies are views of the scratch buffer."""
        tags: list[Tag] = []
        passed: Sequence[Tag] = ()
        fast_path, drift = self.fast_path, self._drift
        # Complete tags that came before a source broke count too.
        broke: SourceError | None = None
        try:
            if fast_path is not None and fast_path.rest >= 0:
                passed = fast_path.passed
                fast_path.read_rest(tags)
            else:
                self._bytes_in += self._inlet.pull(self._scratch, tags)
        except SourceError as error:
            broke = error
        if passed and not tags and drift is not None:
            drift.pass_by(passed)
        if self._check is not None:
            self._check(tags)
        if self._kept:
            tags, self._kept = [*self._kept, *tags], ()
        if tags and (tags[0][0] != SCRIPT or any(tag[0] != SCRIPT for tag in tags)):
            self._media_at = now
        if (past := self._past) is not None:
            tags = past.leave_out(tags, now)
            if past.is_over:
                self._past = None
                self._open_fast_path()
        if tags:
            self._lay(tags, passed, now, laid)
        if broke is not None:
            raise broke

    def _lay(self, tags: list[Tag], passed: Sequence[Tag], now: float, laid: list[LaidTag]) -> None:
        if self._drift is not None:
            tags = self._drift.correct(tags, passed)
        if self._silence is not None:
            tags = self._silence.fill(tags)
            if self._silence.is_over:
                self._silence = None
                self._open_fast_path()
        self._timeline.lay(tags, laid)
        if self._timeline.reads_sets:
            self._close_fast_path()
        self.has_laid = self.has_laid or any(tag[3] <= KEYFRAME for tag in laid)
        for tag in laid:
            if tag[0] == VIDEO and tag[3] <= KEYFRAME:
                self._picture_at = now
                break

    def check_liveness(self, now: float) -> None:
        """Raise SourceStalled when no media has arrived for too long, whatever the socket's state is."""
        silence_s = self._inlet.silence_s
        media_at, picture_at = self.media_at, self.picture_at
        if media_at == self._began_at:
            silence_s = max(silence_s, self._first_media_s)
        if now - media_at >= silence_s:
            raise SourceStalled(Code.SOURCE_SILENT, seconds=silence_s)
        if not self.has_laid and now - self._began_at >= UNUSABLE_S:
            raise SourceStalled(Code.SOURCE_NO_KEYFRAME, seconds=UNUSABLE_S)
        if media_at - picture_at >= PICTURE_LOST_S and picture_at - self._began_at >= PICTURE_SEEN_S and self._moves:
            raise SourceStalled(Code.SOURCE_PICTURE_LOST, seconds=PICTURE_LOST_S)
        if self._fills and self._silence is None:
            self._replace_sound()

    @property
    def _moves(self) -> bool:
        """Whether there were two pictures within a second."""
        return self._timeline.lead.frame_ms > 1

    def _replace_sound(self) -> None:
        """If sound has ended and the picture goes on: silence from here on."""
        timeline = self._timeline
        picture, sound = timeline.lead, timeline.tracks.audio
        if timeline.is_joining or picture.last_ms - sound.last_ms < SOUND_PATIENCE_MS:
            return
        header = next((tag[2] for tag in timeline.headers if tag[0] == AUDIO and tag[3] == SEQUENCE_HEADER), b"")
        self._silence = Silence.after(bytes(header), to_wire_ms(picture.end_ms - picture.shift))
        if self._silence is not None:
            self._close_fast_path()

    @property
    def inlet(self) -> LiveInlet:
        """What it reads now."""
        return self._inlet

    @property
    def source_headers(self) -> list[Tag]:
        """See ``source.shared.SoleFeed``; nothing that was made here."""
        made = AUDIO if self._silence is not None else None
        return [(tag[0], 0, tag[2]) for tag in self._timeline.headers if tag[0] != made]

    def check_with(self, check: Check | None) -> None:
        """From now on that sees what is received: it is another keeper's."""
        self._check = check

    def lay_on(self, timeline: Timeline) -> None:
        """Lay what comes on another timeline. It must have no fast path."""
        self._timeline = timeline

    def read_from(self, inlet: LiveInlet) -> None:
        """See ``source.shared.SoleFeed``: from here on nothing is simple."""
        self._close_fast_path()
        self._inlet, self._outlet = inlet, None

    def _close_fast_path(self) -> None:
        if (fast_path := self.fast_path) is not None:
            self._bytes_in += fast_path.bytes_in
            self._media_at, self._picture_at = self.media_at, self.picture_at
            self.fast_path = None

    def lead_to(self, outlet: Outlet) -> None:
        """See ``relay.flow.Feed``."""
        if self._outlet is not None:
            self._close_fast_path()
            self._outlet = outlet
            self._open_fast_path()

    def close(self) -> None:
        """Close the session."""
        self._inlet.close()
