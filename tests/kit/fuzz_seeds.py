"""What the fuzz target is fed with: real bytes for each parser, and what happens to them."""

from pathlib import Path
from random import Random
from types import ModuleType

from kit.rtp import RtpClip, RtpSender
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import KEYFRAME, START, Tag
from streamferry.wire.amf0 import EcmaArray, serialize_amf0
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags, serialize_metadata, serialize_tag
from streamferry.wire.fmp4 import Fragmenter
from streamferry.wire.mpegts.tables import crc
from streamferry.wire.parameter_sets import SequenceHeader
from streamferry.wire.rtsp.message import interleaved

VECTORS = Path(__file__).parents[1] / "vectors"
HANDSHAKE_BYTES = 1 + 2 * 1536
PLAYLIST = b"""#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-SKIP:SKIPPED-SEGMENTS=2
#EXT-X-KEY:METHOD=AES-128,URI="key?a=1,b",IV=0x10
#EXT-X-MAP:URI="init.mp4",BYTERANGE="800@0"
#EXTINF:4.00008,
#EXT-X-BYTERANGE:75232@800
file268.mp4
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXTINF:4,title
../b/file269.mp4?token=x
#EXT-X-GAP
#EXTINF:4,
file270.mp4
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:14:00.106Z
#EXT-X-PART:DURATION=0.33334,URI="file271.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI="file271.mp4",BYTERANGE="20000@0"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="file271.mp4",BYTERANGE-START=20000
#EXT-X-RENDITION-REPORT:URI="../1M/list.m3u8",LAST-MSN=273,LAST-PART=2
"""
MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="sound/list.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1280x720,AUDIO="a"
high/list.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS="mp4a.40.2"
http://other.example/low.m3u8
"""
HEVC = bytes.fromhex(
    "90687663310104080000009c08000000003cf000fcfffafa00001b01"
    "210001002f4201040408000003009c0800000300003c000090014901739edb2caca5652b2c9265780b4040000003004000000642"
)
#: Enhanced RTMP around other packets: headers of two tracks in one, a track alone, several with a codec each, ModEx.
MULTITRACK = (
    b"\x96\x10hvc1\x00" + (len(HEVC) - 5).to_bytes(3, "big") + HEVC[5:] + b"\x01\x00\x00\x02xx",
    b"\x96\x03hvc1\x00frame",
    b"\xa6\x23hvc1\x00\x00\x00\x05frame" + b"avc1\x01\x00\x00\x05other",
    b"\xa7\x02\x00\x00\x01\x03hvc1frame",
)


def camera() -> bytes:
    """What an RTSP server sends: an answer, a description with a challenge, and the packets of a clip."""
    clip = RtpClip(VECTORS / "clip.flv")
    challenge = 'WWW-Authenticate: Digest realm="cam", nonce="abc", qop="auth"\r\n'
    text = clip.description()
    answer = f"RTSP/1.0 200 OK\r\nCSeq: 1\r\n{challenge}Content-Length: {len(text)}\r\n\r\n{text}".encode()
    return answer + b"".join(interleaved(channel, one.data) for channel, one in clip.packets()[:6])


def small_pictures() -> list[tuple[int, bytes]]:
    """Channels and packets of twelve pictures, each a message and a slice in three parts, with sound between them."""
    picture, sound = RtpSender(96, 90_000), RtpSender(97, 48_000, source=0x55667788)
    packets: list[tuple[int, bytes]] = []
    for number in range(12):
        at_s, kind = number / 25, 1 if number % 6 else 5
        picture.add(at_s, at_s, b"\x06\x01" + bytes(16), marker=False)
        for part in (0x80, 0, 0x40):
            picture.add(at_s, at_s, bytes((0x7C, part | kind)) + b"\x9a" * 20, marker=part == 0x40)
        sound.add(at_s, at_s, b"\0\x20\0\x50\0\x50" + b"s" * 20, marker=True)
        packets += [(0, one.data) for one in picture.packets[-4:]] + [(2, sound.packets[-1].data)]
    return packets


def datagrams() -> bytes:
    """The packets of a clip as ``read_rtp`` takes them, with a report and a goodbye."""
    clip = RtpClip(VECTORS / "clip.flv", aggregate=True)
    packets = [(channel, one.data) for channel, one in clip.packets()[:12]]
    packets[4:4] = [(1, clip.video.report(0.1, 1000.0)), (3, clip.audio.report(0.1, 1000.0))]
    return as_datagrams([*packets, (1, clip.video.bye())])


def as_datagrams(packets: list[tuple[int, bytes]]) -> bytes:
    """As ``read_rtp`` takes them."""
    return b"".join(bytes((number,)) + len(data).to_bytes(2) + data for number, data in packets)


def packed_audio(flv: bytes) -> bytes:
    """The sound of the clip in ADTS, behind an ID3 tag with its stamp."""
    tags: list[Tag] = []
    scan_tags(memoryview(flv), FLV_HEADER_BYTES, len(flv), tags)
    owner = b"com.apple.streaming.transportStreamTimestamp\0" + (8_589_934_000).to_bytes(8)
    frame = b"PRIV" + len(owner).to_bytes(4) + b"\0\0" + owner
    return (
        b"ID3\4\0\0\0\0\0"
        + bytes((len(frame),))
        + frame
        + b"".join(adts(bytes(body[2:])) for kind, _, body in tags if kind == 8 and body[:2] == b"\xaf\1")
    )


def adts(frame: bytes) -> bytes:
    """A frame of AAC with its head."""
    return b"\xff\xf1\x4c" + (0x80 << 16 | len(frame) + 7 << 5 | 0x1F).to_bytes(3) + b"\xfc" + frame


def fragmented(flv: bytes) -> bytes:
    """The clip as fragmented MP4."""
    tags: list[Tag] = []
    scan_tags(memoryview(flv), FLV_HEADER_BYTES, len(flv), tags)
    laid = [(kind, stamp, body, tag_kind(kind, body)) for kind, stamp, body in tags]
    starts = [(*tag[:3], START if tag[3] == KEYFRAME else tag[3]) for tag in laid]
    return b"".join(piece.data for piece in Fragmenter().put(starts))


def ts_packets(pid: int, data: bytes, counter: int) -> bytes:
    """A PES packet or a section in packets of a transport stream, the last of them stuffed."""
    packets, head = b"", 0x4000 | pid
    for number, at in enumerate(range(0, len(data), 184)):
        piece = data[at : at + 184]
        rest = 184 - len(piece)
        stuffing = b"" if not rest else bytes((rest - 1,)) + (b"\0" + b"\xff" * (rest - 2) if rest > 1 else b"")
        control = (0x30 if rest else 0x10) | counter + number & 15
        packets += b"\x47" + head.to_bytes(2) + bytes((control,)) + stuffing + piece
        head = pid
    return packets


def transport(flv: bytes) -> bytes:
    """The first frames of the clip as a transport stream: H.264 with start codes, AAC with ADTS."""

    def section(table: int, body: bytes) -> bytes:
        data = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2) + b"\0\1\xc1\0\0" + body
        return b"\0" + data + crc(data).to_bytes(4)

    stream = ts_packets(0, section(0, b"\0\1\xf0\0"), 0)
    stream += ts_packets(0x1000, section(2, b"\xe1\0\xf0\0\x1b\xe1\0\xf0\0\x0f\xe1\1\xf0\0"), 0)
    tags: list[Tag] = []
    scan_tags(memoryview(flv), FLV_HEADER_BYTES, len(flv), tags)
    counters = {0x100: 0, 0x101: 0}
    sets = b""
    for kind, stamp, body in tags:
        body = bytes(body)
        pts = stamp * 90
        time = bytes((0x21 | pts >> 29 & 14, pts >> 22 & 255, pts >> 14 & 254 | 1, pts >> 7 & 255, pts << 1 & 254 | 1))
        if kind == 9 and body[:2] == b"\x17\0":
            header = SequenceHeader.parse(body)
            assert header is not None
            sets = b"".join(b"\0\0\0\1" + unit for unit in header.sets)
        elif kind == 9:
            media, at = sets, 5
            while at + 4 < len(body):
                size = int.from_bytes(body[at : at + 4])
                media, at = media + b"\0\0\0\1" + body[at + 4 : at + 4 + size], at + 4 + size
            packets = ts_packets(0x100, b"\0\0\1\xe0\0\0\x80\x80\x05" + time + media, counters[0x100])
            stream, sets = stream + packets, b""
            counters[0x100] += len(packets) // 188
        elif kind == 8 and body[:2] == b"\xaf\1":
            media = adts(body[2:])
            head = b"\0\0\1\xc0" + (len(media) + 8).to_bytes(2) + b"\x80\x80\x05"
            packets = ts_packets(0x101, head + time + media, counters[0x101])
            stream += packets
            counters[0x101] += len(packets) // 188
    return stream


def seeds(target: ModuleType) -> list[bytes]:
    """A real input for each parser, behind the byte that chooses it."""
    publish = (VECTORS / "ffmpeg-publish-past-2-24.rtmp").read_bytes()[:9000]
    play = (VECTORS / "nginx-to-player.rtmp").read_bytes()[:9000]
    clip = (VECTORS / "clip.flv").read_bytes()[:6000]
    metadata = serialize_metadata({"width": 1.0, "list": [True, None, {"a": "b"}], "inner": EcmaArray(x=1)})
    status = {"level": "error", "code": "NetStream.Publish.BadName", "description": "secret"}
    aggregate = serialize_tag(9, 5, b"video") + serialize_tag(18, 6, metadata)
    inputs = {
        "read_amf0": [metadata, serialize_amf0("onStatus", 0, None, status)],
        "read_messages": [aggregate, metadata],
        "read_flv": [clip],
        "read_chunks": [publish[HANDSHAKE_BYTES:], play[HANDSHAKE_BYTES:]],
        "read_as_server": [publish],
        "read_as_client": [play],
        "read_rtsp": [camera(), b"".join(interleaved(*one) for one in small_pictures())],
        "read_mp4": [fragmented(clip)],
        "read_ts": [transport(clip)],
        "read_playlist": [PLAYLIST, MASTER],
        "read_packed_audio": [packed_audio(clip)],
        "read_rtp": [datagrams(), as_datagrams(small_pictures())],
        "read_as_preview": [
            clip[FLV_HEADER_BYTES:],
            serialize_tag(9, 0, HEVC) + serialize_tag(9, 0, b"\x93hvc1frame") + serialize_tag(9, 0, b"\xa3hvc1frame"),
            b"".join(serialize_tag(9, 0, body) for body in MULTITRACK),
        ],
    }
    assert inputs.keys() == {parser.__name__ for parser in target.TARGETS}
    return [bytes((number,)) + data for number, parser in enumerate(target.TARGETS) for data in inputs[parser.__name__]]


def mutated(data: bytes, random: Random) -> bytes:
    """A few changes of the kinds that break parsers: bits, extreme bytes, cuts, repeats; not in the first byte."""
    body = bytearray(data[1:])
    for _ in range(random.randint(1, 6)):
        # Half of the changes behind the handshake, where there is one: nothing in it breaks easily.
        first = HANDSHAKE_BYTES if len(body) > HANDSHAKE_BYTES and random.random() < 0.5 else 0
        place = random.randrange(first, len(body)) if len(body) > first else 0
        size = random.randint(1, 12)
        match random.randrange(5):
            case 0 if body:
                body[place] ^= 1 << random.randrange(8)
            case 1:
                body[place : place + size] = random.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * size
            case 2:
                del body[place : place + size]
            case 3:
                body[place:place] = body[place : place + size]
            case 4:
                body[place : place + 4] = random.randbytes(4)
    if random.random() < 0.1:
        del body[random.randrange(len(body) + 1) :]
    return data[:1] + bytes(body)
