"""RTCP: sender reports tell what time of day a stamp is, so that tracks can be laid beside each other; receiver reports
keep servers sending; BYE ends a track.

Specification: RFC 3550, 6 (compound packets, SR, RR, SDES, BYE).
"""

from dataclasses import dataclass, field
from struct import Struct, pack

#: Second bytes of reports (RFC 3550, 12.1).
REPORT_TYPES = range(200, 205)
_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_CNAME = 1
_MAX_PACKETS = 32
_read_sender = Struct(">IIII").unpack_from


@dataclass(slots=True)
class SenderReport:
    """``seconds``: time of day of the sender, since 1900; ``stamp``: the same moment on the clock of its packets."""

    source: int
    seconds: float
    stamp: int
    #: The middle of the time of day in 32 bits, as a receiver report repeats it.
    middle: int


@dataclass(slots=True)
class Reports:
    """What a compound packet tells."""

    senders: list[SenderReport] = field(default_factory=list)
    #: Sources that have ended.
    ended: list[int] = field(default_factory=list)


def parse_reports(data: bytes) -> Reports:
    """Never raises: what is cut off or unknown is passed over."""
    reports = Reports()
    at = 0
    for _ in range(_MAX_PACKETS):
        if at + 8 > len(data) or data[at] >> 6 != 2:
            break
        count, kind = data[at] & 31, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
        if end > len(data):
            break
        if kind == _SR and end - at >= 28:
            whole, fraction, stamp, _ = _read_sender(data, at + 8)
            if whole:  # Without a clock senders tell 0.
                source = int.from_bytes(data[at + 4 : at + 8])
                middle = (whole << 16 | fraction >> 16) & 0xFFFFFFFF
                reports.senders.append(SenderReport(source, whole + fraction / 2**32, stamp, middle))
        elif kind == _BYE:
            places = range(at + 4, min(at + 4 + 4 * count, end), 4)
            reports.ended += [int.from_bytes(data[place : place + 4]) for place in places]
        at = end
    return reports


@dataclass(slots=True)
class Received:
    """What a receiver report tells of a source."""

    source: int
    #: Of all that was sent since the last report, in 256 parts.
    lost_part: int
    lost: int
    highest: int
    jitter: int
    #: ``SenderReport.middle`` of its last report, and how long ago that was, in s; 0 without one.
    last_report: int = 0
    since_report_s: float = 0.0


def serialize_report(own_source: int, received: Received | None, name: str) -> bytes:
    """A receiver report and the name of the receiver, which has to be in each; ``name``: at most 255 bytes."""
    blocks = b""
    if received is not None:
        lost = max(-(1 << 23), min(received.lost, (1 << 23) - 1)) & 0xFFFFFF
        blocks = pack(
            ">IIIIII",
            received.source,
            received.lost_part << 24 | lost,
            received.highest & 0xFFFFFFFF,
            min(received.jitter, 0xFFFFFFFF),
            received.last_report,
            min(round(received.since_report_s * 65536), 0xFFFFFFFF),
        )
    report = pack(">BBHI", 0x80 | (1 if blocks else 0), _RR, 1 + len(blocks) // 4, own_source) + blocks
    text = name.encode()
    item = bytes((_CNAME, len(text))) + text + b"\0"
    item += bytes(-len(item) % 4)
    return report + pack(">BBHI", 0x81, _SDES, 1 + len(item) // 4, own_source) + item


def serialize_bye(own_source: int) -> bytes:
    """The receiver leaves."""
    return serialize_report(own_source, None, "streamferry") + pack(">BBHI", 0x81, _BYE, 1, own_source)
