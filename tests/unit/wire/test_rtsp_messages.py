"""RTSP messages, interleaved packets, authentication and descriptions."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.work import count_steps
from streamferry.media.errors import RemoteProtocolError
from streamferry.wire.rtsp.auth import Authenticator, parse_challenges
from streamferry.wire.rtsp.message import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_STRANGE_BYTES,
    Message,
    MessageReader,
    interleaved,
    serialize_request,
    serialize_response,
)
from streamferry.wire.rtsp.sdp import joined, parse_description, without_user
from streamferry.wire.rtsp.tracks import chosen, parameter_sets

STREAM = (
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    + interleaved(0, b"$" * 300)
    + b"OPTIONS rtsp://h/x RTSP/1.0\r\nCSeq: 9\r\n\r\n"
    + interleaved(3, b"")
    + b"\r\nRTSP/1.0 454 Session Not Found\nCSeq:4\nSession: 1;timeout=60\n\n"
    + interleaved(1, bytes(range(256)))
)


def read(data, pieces=(65536,), channels=frozenset()):
    reader, out, at, number = MessageReader(), [], 0, 0
    reader.channels = channels
    while at < len(data):
        size = pieces[number % len(pieces)]
        reader.feed(data[at : at + size], out)
        at, number = at + size, number + 1
    return out, reader


def test_responses_requests_and_packets_in_one_stream():
    out, reader = read(STREAM)
    first, packet, asked, empty, second, last = out
    assert (first.status, first.phrase, first.sequence, first.body) == (200, "OK", 3, b"v=0\r\n")
    assert (packet, empty, last) == ((0, b"$" * 300), (3, b""), (1, bytes(range(256))))
    assert (asked.method, asked.url, asked.sequence, asked.status) == ("OPTIONS", "rtsp://h/x", 9, 0)
    assert (second.status, second.fields["session"]) == (454, "1;timeout=60")
    assert reader.skipped_bytes == 0


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_cuts_give_the_same(pieces):
    assert read(STREAM, pieces)[0] == read(STREAM)[0]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_streams_end_and_raise_nothing_else(seed):
    chance = random.Random(seed)
    data = bytearray(STREAM * 4)
    for _ in range(chance.randrange(1, 30)):
        at = chance.randrange(len(data))
        data[at : at + chance.choice((0, 1, 1, 50))] = chance.randbytes(chance.choice((0, 1, 1, 40)))
    try:
        out, _ = read(bytes(data), (chance.randrange(1, 500),), frozenset((0, 1, 3)))
    except RemoteProtocolError:
        return
    assert sum(len(one[1]) for one in out if isinstance(one, tuple)) <= len(data)


def test_bytes_that_belong_to_nothing_are_passed_over():
    """Some cameras send the end of a packet twice, or one of a channel that nobody asked for."""
    dirt = b"\xff\x00$\x77\x00\x05Rubbish RTS"
    out, reader = read(interleaved(0, b"one") + dirt + interleaved(0, b"two"), (7,), frozenset((0, 1)))
    assert out == [(0, b"one"), (0, b"two")]
    assert reader.skipped_bytes == len(dirt)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n" * 20_000,
        bytes(MAX_STRANGE_BYTES + 2),
        b"RTSP/1.0 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES,
        b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"RTSP/1.0 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n" + b"a:b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_rtsp_or_too_much_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        read(data, (1000,))


def test_what_is_written_can_be_read():
    out, _ = read(serialize_request("DESCRIBE", "rtsp://h/x", {"CSeq": "2", "Accept": "application/sdp"}))
    assert (out[0].method, out[0].fields) == ("DESCRIBE", {"cseq": "2", "accept": "application/sdp"})
    answer, _ = read(serialize_response(Message(method="OPTIONS", fields={"cseq": "7"}), 200, "OK", {"Public": "x"}))
    assert (answer[0].status, answer[0].sequence) == (200, 7)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def test_the_example_of_rfc_2617():
    challenge, *_ = parse_challenges(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
        ' opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    told = Authenticator(challenge, "Mufasa", "Circle Of Life", "0a4f113b").authorization("GET", "/dir/index.html")
    assert 'response="6629fae49393a05397450978507c4ef1"' in told
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in told
    assert "nc=00000001" in told


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm, response):
    challenge, *_ = parse_challenges(
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    told = Authenticator(
        challenge, "Mufasa", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    ).authorization("GET", "/dir/index.html")
    assert f'response="{response}"' in told
    assert f"algorithm={algorithm}" in told


def test_without_qop_and_with_a_session():
    challenge, *_ = parse_challenges('Digest realm="IP Camera(C1)", nonce="abc", stale="FALSE"')
    told = Authenticator(challenge, "us@er", 'p"w', "c").authorization("SETUP", "rtsp://h/x/")
    wanted = md5(md5('us@er:IP Camera(C1):p"w') + ":abc:" + md5("SETUP:rtsp://h/x/"))
    assert f'response="{wanted}"' in told
    assert "qop" not in told
    assert "cnonce" not in told
    assert "algorithm" not in told
    challenge, *_ = parse_challenges('Digest realm="r", nonce="n", algorithm=MD5-sess, qop=auth')
    told = Authenticator(challenge, "u", "p", "c").authorization("PLAY", "rtsp://h/")
    secret = md5(md5("u:r:p") + ":n:c")
    assert f'response="{md5(f"{secret}:n:00000001:c:auth:" + md5("PLAY:rtsp://h/"))}"' in told


def test_the_strongest_of_several_challenges_that_is_known():
    """In one line or several; what is not known is passed over, and a stale nonce is told from a wrong password."""
    found = parse_challenges(
        'Basic realm="cam, Digest", charset="UTF-8"\n'
        'Digest realm="a", nonce="1", algorithm=SHA-512-256, qop="auth"\n'
        'Digest realm="b", nonce="2", algorithm=MD5, Digest realm="c", nonce="3", algorithm=SHA-256, stale=true\n'
        'Digest realm="d", nonce="4", qop="auth-int"\nNegotiate'
    )
    assert [one.realm for one in found] == ["c", "b", "cam, Digest"]
    assert [one.is_stale for one in found] == [True, False, False]
    assert Authenticator(found[-1], "Aladdin", "open sesame", "c").authorization("PLAY", "x") == (
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )


CAMERA = """v=0
o=- 2251950452 2251950452 IN IP4 0.0.0.0
s=Media Server
t=0 0
a=control:*
a=range:npt=now-
m=video 0 RTP/AVP 96
a=control:trackID=0
a=framerate:25.000000
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAH6w0,aO4xshs=
a=recvonly
m=audio 0 RTP/AVP 0
a=control:trackID=5
a=sendonly
m=audio 0 RTP/AVP 97 8
a=control:trackID=1
a=rtpmap:97 MPEG4-GENERIC/16000
a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408
a=rtpmap:8 PCMA/8000
m=application 0 RTP/AVP 107
a=control:trackID=4
a=rtpmap:107 vnd.onvif.metadata/90000
m=video 0 RTP/AVP 26
a=control:trackID=9
"""


@pytest.mark.timeout(20)
def test_a_long_challenge_is_read_once(monkeypatch):
    """It took the square of its length: 0.24 s for as much as a camera may say, and minutes for this."""
    monkeypatch.setattr("streamferry.wire.rtsp.auth._MAX_CHARS", 1_000_000)
    assert [one.realm for one in parse_challenges("Digest " + "a" * 400_000)] == [""]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_description_of_a_camera(line_end):
    """The first picture, and the sound that is sent to us: not the camera's loudspeaker."""
    found = parse_description(CAMERA.replace("\n", line_end).encode())
    picture, sound = chosen(found.media)
    assert (picture.encoding, picture.control, picture.pictures_a_second) == ("H264", "trackID=0", 25.0)
    assert [one[0] & 31 for one in parameter_sets(picture)] == [7, 8]
    assert (sound.encoding, sound.rate_hz, sound.payload_type) == ("MPEG4-GENERIC", 16000, 97)
    assert sound.parameters["config"] == "1408"
    assert (found.media[-1].encoding, found.media[-1].payload_type) == ("JPEG", 26)


def test_formats_that_are_known_without_a_description():
    found = parse_description(b"m=audio 0 RTP/AVP 8\nm=audio 0 RTP/AVP 14\nm=video 0 RTP/AVP 33\nm=text 0 TCP/x wb\n")
    assert [(one.encoding, one.rate_hz) for one in found.media[:3]] == [("PCMA", 8000), ("MPA", 90000), ("MP2T", 90000)]
    assert [one.encoding for one in chosen(found.media)] == ["MP2T", "PCMA"]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_no_description_raises(seed):
    chance = random.Random(seed)
    text = bytearray(CAMERA.encode())
    for _ in range(chance.randrange(40)):
        at = chance.randrange(len(text))
        text[at : at + chance.choice((0, 1, 20))] = chance.choice((b"", b":", b"=", b"a=", b"\n", chance.randbytes(3)))
    for media in chosen(parse_description(bytes(text)).media):
        parameter_sets(media)
    for one in parse_challenges(text.decode("utf-8", "replace").replace("a=", "Digest ")):
        Authenticator(one, "u", "p", "c").authorization("PLAY", "x")


@pytest.mark.parametrize(
    ("base", "control", "address"),
    [
        ("rtsp://h/cam/", "trackID=1", "rtsp://h/cam/trackID=1"),
        ("rtsp://h/cam", "trackID=1", "rtsp://h/cam/trackID=1"),
        ("rtsp://h/cam?channel=1&subtype=0", "trackID=0", "rtsp://h/cam?channel=1&subtype=0/trackID=0"),
        ("rtsp://h/cam/", "rtsp://10.0.0.1/cam/track1", "rtsp://10.0.0.1/cam/track1"),
        ("rtsp://h/cam/", "*", "rtsp://h/cam/"),
        ("rtsp://h/cam/", "", "rtsp://h/cam/"),
        ("rtsp://h/cam/", "/track1", "rtsp://h/cam/track1"),
        ("rtsp://h/cam/", "?ctype=video", "rtsp://h/cam?ctype=video"),
    ],
)
def test_addresses_of_tracks(base, control, address):
    assert joined(base, control) == address


def test_the_user_is_no_part_of_an_address_in_a_request():
    assert without_user("rtsp://us:p@ss@h:554/a@b?x=y@z") == "rtsp://h:554/a@b?x=y@z"


def test_line_ends_without_end_are_no_rtsp():
    """Some between two messages are passed over, as those of a careless camera are."""
    reader, out = MessageReader(), []
    reader.feed(b"\r\n" * 1000 + interleaved(0, b"x") + b"\n" * 1000 + STREAM, out)
    assert len(out) == 1 + len(read(STREAM)[0])
    with pytest.raises(RemoteProtocolError, match="RTSP"):
        reader.feed(b"\n" * (MAX_STRANGE_BYTES + 1), out)


@settings(max_examples=30, deadline=None)
@given(
    strange=st.lists(st.sampled_from([b"R", b"RTSP", b"OPTIONS", b"O\n", b"PLAYER ", b"\r\n", b"x"]), max_size=20),
    pieces=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_strange_bytes_between_messages_hide_none(strange, pieces):
    """Also where they look like a beginning, and however they are cut."""
    noise = b"".join(strange) + b"~"
    assert read(noise + STREAM + noise + STREAM, pieces)[0] == read(STREAM + STREAM)[0]


def test_what_looks_like_packets_of_no_track_is_passed_over_at_once():
    """Byte by byte it would hold up all other streams for a tenth of a second."""
    reader = MessageReader()
    reader.channels = frozenset((0, 1))
    assert count_steps(lambda: reader.feed(b"$" * 50_000, [], lambda data, at: at), 20_000) < 20_000
    assert reader.skipped_bytes > 49_000
