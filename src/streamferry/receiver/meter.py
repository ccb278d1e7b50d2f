"""Measures a stream by its tags: counts, rates, and whether its timestamps are right."""

from streamferry.media.enhanced import FirstTracks, tag_kind
from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.wire.flv import parse_metadata

_VIDEO_CODECS = {2: "H.263", 4: "VP6", 7: "H.264", 12: "HEVC", 13: "AV1"}
_AUDIO_CODECS = {2: "MP3", 7: "G.711 A", 8: "G.711 u", 10: "AAC", 11: "Speex", 14: "MP3"}
_NAMES_BY_FOURCC = {"avc1": "H.264", "hvc1": "HEVC", "av01": "AV1", "vp09": "VP9", "mp4a": "AAC", "Opus": "Opus"}


class TrackMeter:
    """One track. Times are DTS in ms."""

    def __init__(self) -> None:
        self.codec = ""
        self.frames = 0
        self.keyframes = 0
        self.headers = 0
        #: Frames whose DTS did not rise.
        self.dts_errors = 0
        #: None until the first frame arrives.
        self.last_dts_ms: int | None = None
        #: From the first frame to the last, across any wrap of the stamps.
        self.media_time_ms = 0
        #: Longest distance between two frames.
        self.longest_gap_ms = 0

    def count(self, dts_ms: int, kind: int) -> None:
        """Count one tag of this track."""
        if kind == SEQUENCE_HEADER:
            self.headers += 1
            return
        if kind > KEYFRAME:
            return
        self.frames += 1
        self.keyframes += kind == KEYFRAME
        if self.last_dts_ms is not None:
            step_ms = signed_delta_ms(dts_ms, self.last_dts_ms)
            self.media_time_ms += step_ms
            self.dts_errors += step_ms <= 0
            self.longest_gap_ms = max(self.longest_gap_ms, step_ms)
        self.last_dts_ms = dts_ms


class StreamMeter:
    """One published stream; of several tracks of a type, the first."""

    def __init__(self) -> None:
        self.video = TrackMeter()
        self.audio = TrackMeter()
        self.size_bytes = 0
        self.metadata: dict[str, object] = {}
        self._first_tracks = FirstTracks()

    def count(self, tags: list[Tag]) -> None:
        """Count tags as they arrive."""
        for tag_type, dts_ms, whole_body in tags:
            self.size_bytes += len(whole_body)
            body = self._first_tracks.take(tag_type, whole_body)
            if body is None:
                continue
            kind = tag_kind(tag_type, body)
            if kind == METADATA:
                self.metadata = dict(parse_metadata(bytes(body))) or self.metadata
            elif tag_type == VIDEO and body:
                self.video.codec = self.video.codec or _video_codec(body)
                self.video.count(dts_ms, kind)
            elif tag_type == AUDIO and body:
                self.audio.codec = self.audio.codec or _audio_codec(body)
                self.audio.count(dts_ms, kind)

    @property
    def media_time_ms(self) -> int:
        """Media time received: the longer of the two tracks."""
        return max(self.video.media_time_ms, self.audio.media_time_ms)

    @property
    def description(self) -> str:
        """Codecs and picture size, as far as they are known from the stream."""
        video = self.video.codec
        width, height = self.metadata.get("width"), self.metadata.get("height")
        if video and isinstance(width, float) and isinstance(height, float):
            video += f" {width:.0f}x{height:.0f}"
        return " + ".join(part for part in (video, self.audio.codec) if part) or "no media yet"


def _video_codec(body: "bytes | memoryview") -> str:
    if body[0] & 0x80:
        return _fourcc_name(body)
    return _VIDEO_CODECS.get(body[0] & 0x0F, f"video codec {body[0] & 0x0F}")


def _audio_codec(body: "bytes | memoryview") -> str:
    if body[0] >> 4 == 9:
        return _fourcc_name(body)
    return _AUDIO_CODECS.get(body[0] >> 4, f"audio codec {body[0] >> 4}")


def _fourcc_name(body: "bytes | memoryview") -> str:
    fourcc = bytes(body[1:5]).decode("latin-1")
    return _NAMES_BY_FOURCC.get(fourcc, fourcc)
