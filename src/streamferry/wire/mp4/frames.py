"""Frames of one MP4 track to tags: the sequence header when it is another, and which pictures one can begin with.

What the container says of keyframes is not always true: some say it of none, some of all. The first slice tells.

Specification: H.264 and H.265, 7.3.1 (types of NAL units); ISO/IEC 14496-12, 8.8.3.1 (flags of samples).
"""

from streamferry.media.tag import VIDEO, Tag
from streamferry.wire.mp4.tracks import Form
from streamferry.wire.mpegts.pictures import MAX_PICTURE_BYTES, is_i_slice
from streamferry.wire.parameter_sets import SequenceHeader

# sample_is_non_sync_sample, and sample_depends_on: others.
_NOT_A_START = 0x01010000
_AVC_IDR, _HEVC_KEY = 5, range(16, 24)
# Before the first slice: a delimiter, parameter sets, SEI.
_MOST_UNITS = 64


class Frames:
    """Of one tag type, over all forms that it has one after another."""

    def __init__(self, tag_type: int) -> None:
        self._tag_type = tag_type
        self._form: Form | None = None
        self._header: SequenceHeader | None = None
        self._told = b""
        self._has_begun = False
        self._size_bytes = 4

    def put(self, sample: memoryview, form: Form, dts_ms: int, pts_ms: int, flags: int, out: list[Tag]) -> None:
        """Append the tag of a frame, and its header before it if that is another one than before."""
        if form is not self._form:
            self._begin(form)
        if not sample or not form.first or len(sample) > MAX_PICTURE_BYTES:
            return
        if self._tag_type != VIDEO:
            if form.header and form.header != self._told:
                self._told = form.header
                out.append((self._tag_type, dts_ms, form.header))
            out.append((self._tag_type, dts_ms, form.first + sample))
            return
        is_avc = len(form.first) == 1
        is_key = self._is_key(sample, is_avc, flags)
        ahead = (pts_ms - dts_ms & 0xFFFFFF).to_bytes(3)
        if is_avc:
            head = (b"\x17\x01" if is_key else b"\x27\x01") + ahead
        else:
            head = (b"\x91hvc1" if is_key else b"\xa1hvc1") + ahead
        body = head + sample
        if is_key:
            self._put_header(body, dts_ms, out)
        if self._has_begun and -(1 << 23) <= pts_ms - dts_ms < 1 << 23:
            out.append((VIDEO, dts_ms, body))

    def _begin(self, form: Form) -> None:
        self._form = form
        if self._tag_type != VIDEO or not form.header:
            return
        self._has_begun = self._has_begun and form.header == self._told
        self._header = SequenceHeader.parse(form.header)
        is_avc = len(form.first) == 1
        self._size_bytes = (form.header[9] if is_avc else form.header[26]) % 4 + 1

    def _put_header(self, body: bytes, dts_ms: int, out: list[Tag]) -> None:
        """Parameter sets in the picture are added to the header, or take the place of those that it had."""
        if self._header is None:
            return
        self._header = header = self._header.with_sets_of(body)
        if header.has_all and header.body != self._told:
            self._told, self._has_begun = header.body, True
            out.append((VIDEO, dts_ms, header.body))

    def _is_key(self, sample: memoryview, is_avc: bool, flags: int) -> bool:
        at, size_bytes = 0, self._size_bytes
        for _ in range(_MOST_UNITS):
            begin = at + size_bytes
            if begin + 2 > len(sample):
                break
            kind = sample[begin] & 0x1F if is_avc else sample[begin] >> 1 & 0x3F
            if is_avc and 1 <= kind <= 5:
                if kind == _AVC_IDR:
                    return True
                return not flags & _NOT_A_START and is_i_slice(bytes(sample[begin : begin + 16]))
            if not is_avc and kind < 32:
                return kind in _HEVC_KEY
            at = begin + int.from_bytes(sample[at:begin])
        return False
