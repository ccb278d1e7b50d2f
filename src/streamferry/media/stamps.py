"""Arithmetic of 32-bit millisecond stamps, which wrap every 49.7 days (RTMP specification, section 4: Definitions)."""

WRAP_MS = 1 << 32
_HALF_MS = 1 << 31


def signed_delta_ms(later: int, earlier: int) -> int:
    """Distance from one 32-bit stamp to another, in -2^31 .. 2^31-1 ms (serial number arithmetic, RFC 1982)."""
    return (later - earlier + _HALF_MS) % WRAP_MS - _HALF_MS


def to_wire_ms(stamp_ms: int) -> int:
    """A stamp of the output clock as it goes on the wire: modulo 2^32."""
    return stamp_ms % WRAP_MS
