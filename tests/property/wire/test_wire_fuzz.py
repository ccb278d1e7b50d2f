"""The fuzz target of fuzz/fuzz_wire.py, run for a bounded number of mutations of real bytes."""

import importlib.util
import os
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from kit.rtp import RtpClip
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import KEYFRAME, START, Tag
from streamferry.wire.amf0 import EcmaArray, serialize_amf0
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags, serialize_metadata, serialize_tag
from streamferry.wire.fmp4 import Fragmenter
from streamferry.wire.rtsp.message import interleaved

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors"
HANDSHAKE_BYTES = 1 + 2 * 1536
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
#: About a second on the machine this was written on.
ROUNDS = 8000


def load_target() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_wire", ROOT / "fuzz" / "fuzz_wire.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def camera() -> bytes:
    """What an RTSP server sends: an answer, a description with a challenge, and the packets of a clip."""
    clip = RtpClip(VECTORS / "clip.flv")
    challenge = 'WWW-Authenticate: Digest realm="cam", nonce="abc", qop="auth"\r\n'
    text = clip.description()
    answer = f"RTSP/1.0 200 OK\r\nCSeq: 1\r\n{challenge}Content-Length: {len(text)}\r\n\r\n{text}".encode()
    return answer + b"".join(interleaved(channel, one.data) for channel, one in clip.packets()[:6])


def fragmented(flv: bytes) -> bytes:
    """The clip as fragmented MP4."""
    tags: list[Tag] = []
    scan_tags(memoryview(flv), FLV_HEADER_BYTES, len(flv), tags)
    laid = [(kind, stamp, body, tag_kind(kind, body)) for kind, stamp, body in tags]
    starts = [(*tag[:3], START if tag[3] == KEYFRAME else tag[3]) for tag in laid]
    return b"".join(piece.data for piece in Fragmenter().put(starts))


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
        "read_rtsp": [camera()],
        "read_mp4": [fragmented(clip)],
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


def test_mutated_input_raises_nothing_unexpected() -> None:
    """Values or RemoteProtocolError from every parser, whatever happens to the bytes. FUZZ_SEED repeats a run."""
    target = load_target()
    seed = int(os.environ.get("FUZZ_SEED", "") or int.from_bytes(os.urandom(4), "big"))
    print(f"FUZZ_SEED={seed}")
    random = Random(seed)
    corpus = seeds(target)
    for data in corpus:
        target.fuzz_one_input(data)
    for round_number in range(ROUNDS):
        data = mutated(random.choice(corpus), random)
        try:
            target.fuzz_one_input(data)
        except Exception as error:
            pytest.fail(f"FUZZ_SEED={seed} round {round_number}: {error!r} from {data[:200].hex()} ({len(data)} bytes)")


def test_the_target_finds_what_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that raises something else is a finding: the allow-list is not a catch-all."""
    target = load_target()

    def careless(data: bytes) -> None:
        data[len(data)]

    monkeypatch.setattr(target, "TARGETS", (careless,))
    with pytest.raises(IndexError):
        target.fuzz_one_input(b"\x00abc")
