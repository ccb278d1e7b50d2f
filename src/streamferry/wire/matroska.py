"""Whether a Matroska file's tracks are encrypted. Not a demuxer: it looks at the head of the file only.

Specification: RFC 8794 (EBML: 4 element ids, 5 and 6 data sizes), RFC 9559, 5.1.4 (Tracks) and 5.1.4.1.31
(ContentEncodings; ContentEncryption is 0x5035).
"""

_SEGMENT, _TRACKS, _TRACK, _ENCODINGS, _ENCODING, _ENCRYPTION = (
    0x18538067, 0x1654AE6B, 0xAE, 0x6D80, 0x6240, 0x5035,
)  # fmt: skip
_CLUSTER = 0x1F43B675
_PATH = (_SEGMENT, _TRACKS, _TRACK, _ENCODINGS, _ENCODING)
_MAX_ELEMENTS = 10_000


def is_encrypted(head: bytes) -> bool | None:
    """Whether a track says so, in the first bytes of the file; None if they end before that is known."""
    left = _MAX_ELEMENTS
    stretches = [(0, len(head), 0)]
    is_known = False
    while stretches:
        at, end, depth = stretches.pop()
        while at < end and left:
            left -= 1
            identity, at = _number(head, at, keeps_marker=True)
            size, at = _number(head, at, keeps_marker=False)
            if at < 0:
                break
            # A size of ones only is not known: it goes on to the end.
            inner_end = end if size < 0 else at + size
            is_known = is_known or identity == _CLUSTER or (identity == _TRACKS and inner_end <= len(head))
            inner_end = min(end, inner_end)
            if depth == len(_PATH) and identity == _ENCRYPTION:
                return True
            if depth < len(_PATH) and identity == _PATH[depth]:
                stretches.append((at, inner_end, depth + 1))
            at = inner_end
    return False if is_known else None


def _number(data: bytes, at: int, *, keeps_marker: bool) -> tuple[int, int]:
    """A number of variable length, and where it ends: -1 if it is none. A size that is not known is -1."""
    if not 0 <= at < len(data) or not data[at]:
        return 0, -1
    length = 9 - data[at].bit_length()
    end = at + length
    if end > len(data):
        return 0, -1
    value = int.from_bytes(data[at:end])
    if keeps_marker:
        return value, end
    value -= 1 << 7 * length
    return (-1 if value == (1 << 7 * length) - 1 else value), end
