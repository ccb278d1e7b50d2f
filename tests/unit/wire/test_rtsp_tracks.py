"""Packets of RTP to tags: against the same frames in FLV, and whatever happens on the way."""

import itertools
import random
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.rtp import RtpClip, frames_of, headers_of
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.message import MessageReader, interleaved
from streamferry.wire.rtsp.plain_sound import MAX_WAITING_BYTES, PlainSoundTrack
from streamferry.wire.rtsp.playing import Playing
from streamferry.wire.rtsp.rtp import HELD_PACKETS
from streamferry.wire.rtsp.sdp import parse_description
from streamferry.wire.rtsp.tracks import PictureTrack, SoundTrack, chosen

KINDS = {"video": PictureTrack, "audio": SoundTrack}


def session(description, *, is_ordered=True):
    playing = Playing(1)
    for media in chosen(parse_description(description.encode()).media):
        channel = 0 if media.kind == "video" else 2
        playing.add(KINDS[media.kind](media, playing.tags, is_ordered=is_ordered), channel)
    return playing


def played(clip, packets=None, *, description=None, is_ordered=True):
    playing = session(description or clip.description(), is_ordered=is_ordered)
    for channel, packet in clip.packets() if packets is None else packets:
        playing.take(channel, packet.data, packet.at_s)
    return playing


def last_picture_told(clip):
    """A packet with the next stamp: what tells that the last picture is whole."""
    clip.video.add(
        clip.seconds,
        clip.seconds + 1,
        b"\x06\x05\x01\x00\x80" if clip.codec == "H264" else b"\x4e\x01\x05\x01\x00\x80",
        marker=True,
    )


def pts_of(clip, frames):
    return [clip.pts_ms(stamp, body) for stamp, body in frames]


@pytest.mark.parametrize("name", ["h264_no_bframes", "h264_bframes", "aac_44100_mono", "hevc", "heavy", "vfr"])
@pytest.mark.parametrize("form", [{}, {"aggregate": True}, {"marker_on_each": True, "repeat_sets": True}])
def test_the_same_frames_as_in_flv(clips, name, form):
    """Bodies byte for byte; showing times and those of sound within the millisecond that FLV rounds to."""
    clip = RtpClip(clips(name, ".flv"), **form)
    last_picture_told(clip)
    playing = played(clip)
    pictures, sounds = frames_of(playing.tags, VIDEO), frames_of(playing.tags, AUDIO)
    assert [body[-300:] for _, body in pictures] == [body[-300:] for _, body in clip.pictures]
    assert [body for _, body in sounds] == [body for _, body in clip.sounds]
    assert len(headers_of(playing.tags, VIDEO)) == len(headers_of(playing.tags, AUDIO)) == 1
    for got, wanted in (
        (pts_of(clip, pictures), pts_of(clip, clip.pictures)),
        ([s for s, _ in sounds], [s for s, _ in clip.sounds]),
    ):
        shift = got[0] - wanted[0]
        assert all(abs(one - other - shift) <= 1 for one, other in zip(got, wanted, strict=True))
    assert playing.lost_packets == 0


@pytest.mark.parametrize("name", ["h264_bframes", "hevc"])
def test_parameter_sets_in_band_alone(clips, name):
    """Cameras whose description has none: they come before each keyframe. Wrong ones are replaced."""
    clip = RtpClip(clips(name, ".flv"), repeat_sets=True)
    last_picture_told(clip)
    right = clip.description()
    wrong = re.sub(r"sprop[^\r]*", "sprop-parameter-sets=Z2QAH6w0,aO4xshs=", right)
    wanted = headers_of(played(clip).tags, VIDEO)
    for description in (clip.description(has_sets=False), wrong):
        playing = played(clip, description=description)
        assert len(frames_of(playing.tags, VIDEO)) == len(clip.pictures)
        assert headers_of(playing.tags, VIDEO)[-1:] == wanted


@pytest.mark.parametrize("name", ["h264_no_bframes", "h264_bframes", "hevc", "vfr"])
def test_decoding_times_rise_and_are_those_of_the_clip(clips, name):
    clip = RtpClip(clips(name, ".flv"))
    last_picture_told(clip)
    got = frames_of(played(clip).tags, VIDEO)
    stamps = [stamp for stamp, _ in got]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    ahead = [one - stamp for one, (stamp, _) in zip(pts_of(clip, got), got, strict=True)]
    wanted = [one - stamp for one, (stamp, _) in zip(pts_of(clip, clip.pictures), clip.pictures, strict=True)]
    # The depth that encoders tell may be more than what they use; it is never less.
    assert all(one >= 0 for one in ahead)
    assert max(ahead) - max(wanted) in range(-1, 85)


def without_depth(clip):
    """The sequence parameter set of x264 without what it says after the size of the picture."""
    from streamferry.wire.bits import BitWriter
    from streamferry.wire.codecs import read_avc_set

    unit = clip.sets[0]
    rest = read_avc_set(unit).rest
    bits = bin(int.from_bytes(b"\1" + unit))[3:][: rest._at + 8]
    writer = BitWriter()
    writer.put(len(bits), int(bits, 2))
    writer.put(2, 0b01)
    return writer.to_bytes()


def test_depth_that_no_parameter_set_tells_is_seen(clips):
    """Cameras and servers leave it out; a picture shown before one that was sent earlier still has its time."""
    clip = RtpClip(clips("h264_bframes", ".flv"))
    clip.sets = (without_depth(clip), *clip.sets[1:])
    last_picture_told(clip)
    got = frames_of(played(clip).tags, VIDEO)
    assert [body[5:] for _, body in got] == [body[5:] for _, body in clip.pictures]
    shown, wanted = pts_of(clip, got), pts_of(clip, clip.pictures)
    assert all(abs(one - other - (shown[0] - wanted[0])) <= 1 for one, other in zip(shown, wanted, strict=True))
    stamps = [stamp for stamp, _ in got]
    assert all(0 < later - earlier < 200 for earlier, later in itertools.pairwise(stamps))
    assert all(0 <= one - stamp <= 121 for one, stamp in zip(shown, stamps, strict=True))


@pytest.mark.parametrize("is_ordered", [True, False])
@pytest.mark.parametrize("every", [50, 200])
def test_lost_packets_cost_the_pictures_that_they_are_missing_from(clips, is_ordered, every):
    clip = RtpClip(clips("heavy", ".flv"))
    last_picture_told(clip)
    packets = [one for number, one in enumerate(clip.packets()) if number % every != every - 1]
    playing = played(clip, packets, is_ordered=is_ordered)
    # Those at the end may still be held for one that is missing.
    lost = len(clip.packets()) - len(packets)
    assert lost - HELD_PACKETS <= playing.lost_packets <= lost
    sent = [body for _, body in clip.pictures]
    got = [body for _, body in frames_of(playing.tags, VIDEO)]
    assert set(got) <= set(sent)
    assert len(got) >= len(sent) - lost - (0 if is_ordered else HELD_PACKETS)
    assert {body for _, body in frames_of(playing.tags, AUDIO)} <= {body for _, body in clip.sounds}


@pytest.mark.parametrize("seed", range(4))
def test_packets_that_overtake_each_other(clips, seed):
    """As over UDP. Twice the same one is one."""
    clip = RtpClip(clips("h264_bframes", ".flv"))
    last_picture_told(clip)
    straight = played(clip)
    chance = random.Random(seed)
    packets = clip.packets()
    keys = [number + chance.uniform(0, 8) for number in range(len(packets))]
    keys[0] = keys[1] = -1.0
    mixed = [packet for _, packet in sorted(zip(keys, packets, strict=True), key=lambda one: one[0])]
    doubled = [one for packet in mixed for one in ((packet, packet) if chance.random() < 0.1 else (packet,))]
    playing = played(clip, doubled, is_ordered=False)
    for kind in (VIDEO, AUDIO):
        assert [body for _, body in frames_of(playing.tags, kind)] == [
            body for _, body in frames_of(straight.tags, kind)
        ]
    assert playing.lost_packets == 0


def offset_of(clip, tags):
    """By how much the sound lies later beside its picture than in the clip, of the last of both, in ms."""
    pictures, sounds = frames_of(tags, VIDEO), frames_of(tags, AUDIO)
    shift = pts_of(clip, pictures)[-1] - clip.pts_ms(*clip.pictures[len(pictures) - 1])
    return sounds[-1][0] - clip.sounds[len(sounds) - 1][0] - shift


@pytest.mark.parametrize("late_s", [0.0, 0.3, -0.25, 2.0])
def test_sender_reports_lay_sound_and_picture_beside_each_other(clips, late_s):
    """Whatever the arrival of the first packets says; sound that arrives later was not made later."""
    clip = RtpClip(clips("half_a_minute", ".flv"))
    playing = session(clip.description())
    packets = [(channel, one.at_s + (late_s if channel == 2 else 0.0), one.data) for channel, one in clip.packets()]
    day = 1_790_000_000.0
    for at in range(1, 28, 5):
        packets.append((1, at + 0.01, clip.video.report(at, day + at)))
        packets.append((3, at + 0.4, clip.audio.report(at + 0.3, day + at + 0.3)))
    for channel, at_s, data in sorted(packets, key=lambda one: one[1]):
        playing.take(channel, data, at_s + 1)
    assert abs(offset_of(clip, playing.tags)) <= 5
    stamps = [stamp for stamp, _ in frames_of(playing.tags, VIDEO)]
    assert all(0 < later - earlier <= 50 for earlier, later in itertools.pairwise(stamps))


@pytest.mark.parametrize("what", ["none", "no clock", "days apart", "set once"])
def test_reports_without_sense_move_nothing(clips, what):
    """Then the arrival of the first packets holds."""
    clip = RtpClip(clips("half_a_minute", ".flv"))
    playing = session(clip.description())
    packets = [(channel, one.at_s, one.data) for channel, one in clip.packets()]
    for at in range(1, 28, 5) if what != "none" else ():
        of_picture, of_sound = 1_790_000_000.0 + at, 1_790_000_000.0 + at
        if what == "no clock":
            of_picture = of_sound = -2_208_988_800.0
        elif what == "days apart":
            of_sound += 200_000
        elif at > 10:
            # Set between the report of one track and that of the other.
            of_sound += 3
            of_picture += 3 if at > 15 else 0
        packets.append((1, at + 0.01, clip.video.report(at, of_picture)))
        packets.append((3, at + 0.02, clip.audio.report(at, of_sound)))
    for channel, at_s, data in sorted(packets, key=lambda one: one[1]):
        playing.take(channel, data, at_s)
    assert abs(offset_of(clip, playing.tags)) <= 5
    stamps = [stamp for stamp, _ in frames_of(playing.tags, VIDEO)]
    assert all(35 <= later - earlier <= 45 for earlier, later in itertools.pairwise(stamps))


def test_a_camera_that_starts_anew_in_the_session(clips):
    """Another source, other numbers and stamps: the clock goes on with the time that passed."""
    clip = RtpClip(clips("h264_no_bframes", ".flv"))
    again = RtpClip(clips("h264_no_bframes", ".flv"))
    for sender in (again.video, again.audio):
        sender.source ^= 0xFFFF
    packets = [(channel, one.at_s, one.data) for channel, one in clip.packets()]
    for channel, one in again.packets():
        data = bytearray(one.data)
        data[4:8] = (int.from_bytes(data[4:8]) + 0x12345678 & 0xFFFFFFFF).to_bytes(4)
        data[8:12] = (int.from_bytes(data[8:12]) ^ 0xFFFF).to_bytes(4)
        packets.append((channel, one.at_s + 5, bytes(data)))
    playing = session(clip.description())
    for channel, at_s, data in packets:
        playing.take(channel, data, at_s)
    for kind in (VIDEO, AUDIO):
        stamps = [stamp for stamp, _ in frames_of(playing.tags, kind)]
        assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
        assert stamps[-1] - stamps[0] == pytest.approx(8000, abs=200)
    assert len(frames_of(playing.tags, VIDEO)) >= 2 * len(clip.pictures) - 2


def test_sound_before_its_first_stamp_of_zero(clips):
    """A stamp of 97 ms before 0 was read as 27 hours later by another program."""
    clip = RtpClip(clips("audio_only", ".flv"))
    clip.audio = type(clip.audio)(97, clip.audio_rate_hz, first_stamp=-4277 & 0xFFFFFFFF)
    for number in range(0, len(clip.sounds), 2):
        clip._add_sounds(number, [body[2:] for _, body in clip.sounds[number : number + 2]])
    stamps = [stamp for stamp, _ in frames_of(played(clip).tags, AUDIO)]
    assert stamps[-1] - stamps[0] == pytest.approx(clip.sounds[-1][0] - clip.sounds[0][0], abs=2)


def test_headers_with_all_that_they_may_have(clips):
    """Contributing sources, an extension and padding."""
    clip = RtpClip(clips("h264_no_bframes", ".flv"))
    last_picture_told(clip)
    packets = []
    for channel, one in clip.packets():
        head, payload = bytearray(one.data[:12]), one.data[12:]
        head[0] |= 0x30 | 2
        extra = bytes(8) + b"\xbe\xde\x00\x02" + bytes(8)
        packets.append((channel, one.__class__(one.at_s, bytes(head) + extra + payload + b"\0\0\3")))
    assert played(clip, packets).tags == played(clip).tags


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_packets_raise_nothing_and_end(clip_files, seed):
    chance = random.Random(seed)
    name = chance.choice(("h264_bframes", "hevc"))
    clip = clip_files(name)
    playing = session(clip.description(has_sets=chance.random() < 0.5), is_ordered=chance.random() < 0.5)
    sent = 0
    for channel, one in clip.packets()[:400]:
        data = bytearray(one.data)
        if chance.random() < 0.2:
            at = chance.randrange(len(data))
            data[at : at + chance.choice((0, 1, 1, 4))] = chance.randbytes(chance.choice((0, 1, 1, 4)))
        sent += len(data)
        playing.take(chance.choice((channel, channel, channel, 1)), bytes(data), one.at_s)
    assert sum(len(body) for _, _, body in playing.tags) <= 2 * sent


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_packets_may_be_read_where_they_lie(clip_files, seed):
    """The same tags and counts as one by one, whatever is lost, comes twice, is damaged, cut or lies between them."""
    chance = random.Random(seed)
    clip = clip_files(chance.choice(("h264_bframes", "hevc", "heavy")), chance.choice((0, 0, 1, 2)))
    is_ordered = chance.random() < 0.5
    at_once, one_by_one = (session(clip.description(), is_ordered=is_ordered) for _ in range(2))
    packets = [(channel, bytearray(one.data)) for channel, one in clip.packets()[:600]]
    for at in chance.sample(range(1, len(packets)), chance.choice((0, 3, 30))):
        faults = (
            "lost",
            "twice",
            "swapped",
            "byte",
            "marker",
            "short",
            "long",
            "report",
            "other channel",
            "part",
            "unit",
        )
        what = chance.choice(faults)
        channel, data = packets[at]
        if what == "lost":
            data.clear()
        elif what == "twice":
            packets[at - 1] = packets[at]
        elif what == "swapped":
            packets[at - 1], packets[at] = packets[at], packets[at - 1]
        elif what == "byte" and data:
            data[chance.randrange(min(20, len(data)))] ^= 1 << chance.randrange(8)
        elif what == "marker" and len(data) > 1:
            data[1] ^= 0x80
        elif what == "short":
            del data[chance.randrange(20) :]
        elif what == "long":
            data += bytes(chance.choice((1, 3000)))
        elif what == "part" and len(data) > 14:
            # Whether a fragment is the first, the last or neither.
            data[13 if clip.codec == "H264" else 14] ^= chance.choice((0x80, 0x40))
        elif what == "unit" and data:
            data[12:] = (b"\x06" if clip.codec == "H264" else b"\x4e\x01") + bytes(20) + b"\x80"
            if chance.random() < 0.5:
                # The end of a picture that is damaged.
                data[1] |= 0x80
                packets[max(0, at - 2)][1].clear()
        elif what == "report":
            packets[at] = channel, bytearray(clip.video.report(1.0, 1e9))
        else:
            packets[at] = chance.randrange(4), data
    begin, reader = 0, MessageReader()
    while begin < len(packets):
        end = begin + chance.choice((1, 2, 30, 200))
        pieces = [(channel, bytes(data)) for channel, data in packets[begin:end]]
        stream = b"".join(interleaved(*piece) for piece in pieces)
        if chance.random() < 0.1:
            stream = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" + stream
        cut = chance.choice((0, chance.randrange(len(stream) + 1)))
        heard = at_once.read(reader, stream[:cut], begin * 0.004) + at_once.read(reader, stream[cut:], begin * 0.004)
        assert [one.method for one in heard] == ["OPTIONS"] * stream.startswith(b"O")
        for channel, data in pieces:
            one_by_one.take(channel, data, begin * 0.004)
            if one_by_one.unsupported:
                break
        assert at_once.unsupported == one_by_one.unsupported
        if at_once.unsupported:
            return
        assert at_once.tags == one_by_one.tags
        begin = end
    for one, other in zip(at_once._channels.values(), one_by_one._channels.values(), strict=True):
        found, wanted = one.track.receiver, other.track.receiver
        assert (found.highest, found.lost, found.first) == (wanted.highest, wanted.lost, wanted.first)
        assert found.jitter == wanted.jitter


@pytest.mark.parametrize("name", ["heavy", "hevc"])
@pytest.mark.parametrize("is_ordered", [True, False])
def test_an_ordinary_stream_is_read_where_it_lies(clips, monkeypatch, name, is_ordered):
    """From the sixth picture on: then its markers are believed."""
    one_by_one = []
    put = PictureTrack.put
    monkeypatch.setattr(PictureTrack, "put", lambda track, *packet: one_by_one.append(packet) or put(track, *packet))
    clip = RtpClip(clips(name, ".flv"))
    last_picture_told(clip)
    playing = session(clip.description(), is_ordered=is_ordered)
    stream = b"".join(interleaved(channel, one.data) for channel, one in clip.packets())
    playing.read(MessageReader(), stream, 0.0)
    assert len(frames_of(playing.tags, VIDEO)) == len(clip.pictures)
    # The last packet is too short for a unit.
    assert len({stamp for _, stamp, *_ in one_by_one[:-1]}) <= 6


@pytest.fixture(scope="module")
def clip_files(tmp_path_factory):
    from kit.clips import ClipFactory

    folder = tmp_path_factory.mktemp("rtp")
    made = ClipFactory(folder, folder / "made")
    forms = ({}, {"aggregate": True}, {"marker_on_each": True, "repeat_sets": True})
    return cache(lambda name, form=0: RtpClip(made(name, ".flv"), **forms[form]))


def audio(rtpmap, fmtp=""):
    media = chosen(parse_description(f"m=audio 0 RTP/AVP 97\na=rtpmap:97 {rtpmap}\na=fmtp:97 {fmtp}\n".encode()).media)
    return SoundTrack(media[0], [], is_ordered=True)


@pytest.mark.parametrize(
    ("rtpmap", "fmtp"),
    [
        ("PCMU/8000", ""),
        ("opus/48000/2", ""),
        ("mpeg4-generic/48000/2", "mode=AAC-hbr"),
        ("mpeg4-generic/48000/2", "mode=AAC-hbr;config=zz"),
        ("mpeg4-generic/48000/2", "mode=CELP-cbr;config=1190"),
        ("MP4A-LATM/48000/2", "cpresent=0"),
    ],
)
def test_sound_that_is_not_read_is_named(rtpmap, fmtp):
    with pytest.raises(UnsupportedCodec, match=r"\w{3}"):
        audio(rtpmap, fmtp)


def packet(number, stamp, payload, *, marker=True):
    return b"\x80" + bytes((97 | (0x80 if marker else 0),)) + number.to_bytes(2) + stamp.to_bytes(4) + b"cam1" + payload


def test_an_access_unit_of_aac_in_three_packets():
    track = audio("mpeg4-generic/48000/2", "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190")
    unit = bytes(range(200)) * 3
    head = b"\0\x10" + (len(unit) << 3).to_bytes(2)
    for number, at in enumerate((0, 200, 400)):
        track.receive(packet(number, 1024, head + unit[at : at + 200], marker=at == 400), 0.1)
    assert [body for _, _, body in track.out] == [b"\xaf\0\x11\x90", b"\xaf\1" + unit]
    # One of which the middle is lost is none.
    for number, at in ((3, 0), (5, 400)):
        track.receive(packet(number, 2048, head + unit[at : at + 200], marker=at == 400), 0.1)
    assert len(track.out) == 2


@pytest.mark.parametrize(
    ("told", "config", "frame_ms"),
    [
        ("40002320adca00", "1190", 21),  # GStreamer 1.22: that there is no SBR, and no end.
        ("400026203fc0", "1310", 42),  # What an encoder of LC sends, here with 24 kHz.
        (
            "40005623101fe0",
            "2b118800",
            42,
        ),  # HE-AAC: SBR makes 48 kHz of the 24 of its core (ISO/IEC 14496-3, 1.6.2.1).
    ],
)
def test_configurations_of_latm(told, config, frame_ms):
    """AAC-LC and HE-AAC, as encoders and servers write them."""
    text = f"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/48000\r\na=fmtp:97 cpresent=0;config={told}\r\n"
    (media,) = parse_description(text.encode()).media
    track = SoundTrack(media, [], is_ordered=True)
    for number in range(3):
        track.receive(packet(number, number * 48 * frame_ms, b"\x03abc", marker=True), 0.1)
    assert [body.hex() for _, _, body in track.out] == ["af00" + config, *["af01616263"] * 3]
    assert track.out[-1][1] - track.out[1][1] == pytest.approx(2 * frame_ms, abs=1)


@pytest.mark.parametrize("is_in_band", [False, True])
def test_aac_in_latm(is_in_band):
    """RFC 6416: the configuration in the description, or in each element."""
    from streamferry.wire.bits import BitWriter

    frame = bytes(range(100, 220)) * 3
    config = BitWriter()
    for bits, value in (
        (1, 0),
        (1, 1),
        (6, 0),
        (4, 0),
        (3, 0),
        (5, 2),
        (4, 3),
        (4, 2),
        (3, 0),
        (3, 0),
        (8, 255),
        (2, 0),
    ):
        config.put(bits, value)
    told = config.to_bytes().hex()
    element = BitWriter()
    if is_in_band:
        element.put(1, 0)
        element.put(44, int(told, 16) >> (len(told) * 4 - 44))
    for byte in (255, len(frame) - 255, *frame):
        element.put(8, byte)
    data = element.to_bytes()
    track = audio("MP4A-LATM/48000/2", "cpresent=1" if is_in_band else f"cpresent=0;config={told}")
    track.receive(packet(0, 0, data[:150], marker=False), 0.1)
    track.receive(packet(1, 0, data[150:]), 0.1)
    assert [body for _, _, body in track.out] == [b"\xaf\0\x11\x90", b"\xaf\1" + frame]


def rtp_of(payload_type, number, stamp, payload):
    return bytes((0x80, payload_type)) + number.to_bytes(2) + (stamp & 0xFFFFFFFF).to_bytes(4) + bytes(4) + payload


@pytest.mark.parametrize("rest", [b"", b"x"])
def test_a_unit_in_endless_tiny_pieces_is_given_up_in_time(monkeypatch, rest):
    """A list of pieces is memory, too: it does not grow for as long as they come."""
    monkeypatch.setattr("streamferry.wire.rtsp.pictures.MAX_PICTURE_BYTES", 1 << 20)
    description = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    track = PictureTrack(parse_description(description.encode()).media[0], [], is_ordered=True)
    track.receive(rtp_of(96, 0, 5, b"\x7c\x85x"), 0.0)
    most = 0
    for number in range(1, 30_000):
        track.receive(rtp_of(96, number & 0xFFFF, 5, b"\x7c\x05" + rest), 0.0)
        if not number % 100:
            most = max(most, len(track._units.fragment))
    assert 0 < most < (1 << 20) / 40
    assert not track._units.fragment


def test_holes_in_plain_sound_cost_no_more_than_a_bound():
    """Packets of some bytes tell of seconds that are missing between them: what is filled in is bounded."""
    description = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/48000/2\r\n"
    track = PlainSoundTrack(parse_description(description.encode()).media[0], [], is_ordered=True)
    for number in range(200):
        track.receive(rtp_of(97, number, number * 180_000, bytes(4)), 0.0)
    # 3.75 s of it more than may wait.
    assert len(track.stream) < MAX_WAITING_BYTES + 180_000 * 4 + 4000
