"""The form of live media by its sequence headers, and whether a source is to be encoded because of it.

A check gets the tags that were received, before anything of them is laid, and raises SourceNeedsEncoding.
"""

from collections.abc import Callable, Iterable, Sequence

from streamferry.media.enhanced import headers_in, is_h264_or_aac, tag_kind
from streamferry.media.errors import SourceNeedsEncoding
from streamferry.media.tag import AUDIO, EX_SIDE_DATA, NESTED, SCRIPT, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.reasons import Code
from streamferry.wire.codecs import parse_sound, parse_video_header
from streamferry.wire.pixel_aspect import avc_pixel_aspect

Check = Callable[[Sequence[Tag]], None]

_NAMES = {"avc1": "h264", "hvc1": "hevc"}
_WITH_HEADERS = (SEQUENCE_HEADER, NESTED)
_DAMAGED = (ValueError, IndexError, KeyError)


def video_form(header: bytes) -> VideoForm | None:
    """Of H.264 or HEVC; None for other codecs, and for a header that is damaged."""
    try:
        found = parse_video_header(header)
        codec = _NAMES[found.codecs[:4]]
        if codec == "h264":
            return VideoForm(codec, found.width, found.height, avc_pixel_aspect(header))
        return VideoForm(codec, found.width, found.height)
    except _DAMAGED:
        return None


def audio_form(header: bytes) -> AudioForm | None:
    """Of AAC; None for other codecs, and for a header that is damaged. Where only the frames tell the channels: two."""
    try:
        rate_hz, channels = parse_sound(header)
    except _DAMAGED:
        return None
    return AudioForm("aac", rate_hz, channels or 2) if is_h264_or_aac(AUDIO, header) else None


def form_of(headers: Iterable[tuple[int, bytes]]) -> Form:
    """Of the first picture and the first sound among headers by their tag types."""
    video: VideoForm | None = None
    audio: AudioForm | None = None
    for tag_type, header in headers:
        if tag_type == VIDEO:
            video = video or video_form(header)
        elif tag_type == AUDIO:
            audio = audio or audio_form(header)
    return Form(video, audio)


def check_h264(tags: Sequence[Tag]) -> None:
    """For a destination that takes nothing but H.264 and AAC."""
    if not all(is_h264_or_aac(tag[0], tag[2]) for tag in tags):
        raise SourceNeedsEncoding(Code.SOURCE_NOT_H264)


def check_form(tags: Sequence[Tag], wanted: Form) -> None:
    """For what is to have a form; a track that this does not have may be anything."""
    for tag_type, _, body in tags:
        if tag_type == SCRIPT:
            continue
        if tag_type == AUDIO and wanted.audio is not None and not is_h264_or_aac(tag_type, body):
            raise SourceNeedsEncoding(Code.SOURCE_OTHER_FORM)
        if tag_kind(tag_type, body) not in _WITH_HEADERS:
            continue
        for (_, track, packet), header in headers_in(tag_type, body).items():
            if track or packet == EX_SIDE_DATA:
                continue
            if tag_type == VIDEO:
                fits = wanted.video is None or video_form(bytes(header)) == wanted.video
            else:
                fits = wanted.audio is None or audio_form(bytes(header)) == wanted.audio
            if not fits:
                raise SourceNeedsEncoding(Code.SOURCE_OTHER_FORM)
