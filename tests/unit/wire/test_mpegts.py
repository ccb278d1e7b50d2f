"""TsDemuxer: tags of transport streams, against the same packets in FLV, and whatever happens to the stream."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import programs
from streamferry.media.tag import AUDIO, VIDEO, kind_of_audio, kind_of_video
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.mpegts import TsDemuxer
from streamferry.wire.mpegts.tables import crc

PACKET = 188
PICTURE, SOUND, PMT = 0x100, 0x101, 0x1000
H264, AAC, AC3 = 0x1B, 0x0F, 0x81
FRAMES, HEADER = (1, 2), 3


def demuxed(data, pieces=(65536,)):
    demuxer, out, at = TsDemuxer(), [], 0
    for number in range(len(data)):
        if at >= len(data):
            break
        size = pieces[number % len(pieces)]
        demuxer.feed(data[at : at + size], out)
        at += size
    demuxer.finish(out)
    return out, demuxer


def packets_of(data):
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def pid_of(packet):
    return int.from_bytes(packet[1:3]) & 0x1FFF


def with_pid(packet, pid):
    return packet[:1] + (packet[1] & 0xE0 | pid >> 8).to_bytes() + (pid & 0xFF).to_bytes() + packet[3:]


def section_packet(pid, section, counter=0):
    body = b"\0" + section
    return b"\x47" + (0x4000 | pid).to_bytes(2) + bytes((0x10 | counter & 15,)) + body.ljust(PACKET - 4, b"\xff")


def section(table, number, version, body):
    size = 5 + len(body) + 4
    head = bytes((table,)) + (0xB000 | size).to_bytes(2) + number.to_bytes(2) + bytes((0xC1 | version << 1, 0, 0))
    return head + body + crc(head + body).to_bytes(4)


def pat(programs):
    return section(0, 1, 0, b"".join(n.to_bytes(2) + (0xE000 | pid).to_bytes(2) for n, pid in programs.items()))


def pmt(streams, version=0, program=1):
    listed = b"".join(bytes((kind,)) + (0xE000 | pid).to_bytes(2) + b"\xf0\0" for kind, pid in streams)
    return section(2, program, version, (0xE000 | PICTURE).to_bytes(2) + b"\xf0\0" + listed)


def frames(tags, tag_type):
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == tag_type and kind_of(body) in FRAMES]


def headers(tags, tag_type):
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [bytes(body) for kind, _, body in tags if kind == tag_type and kind_of(body) == HEADER]


@pytest.fixture
def stream(clips):
    """H.264 with B-frames and AAC, packet by packet, without its tables."""
    data = clips("h264_bframes", ".ts").read_bytes()
    return [packet for packet in packets_of(data) if pid_of(packet) in (PICTURE, SOUND)]


def joined(packets, streams=((H264, PICTURE), (AAC, SOUND)), version=0):
    return b"".join([section_packet(0, pat({1: PMT})), section_packet(PMT, pmt(streams, version)), *packets])


@pytest.mark.parametrize("name", ["h264_bframes", "h264_no_bframes", "aac_44100_mono", "hevc"])
def test_the_same_frames_as_in_flv(clips, name):
    """Bodies are equal byte for byte, and stamps within the millisecond that FLV rounds to."""
    flv = memoryview(clips(name, ".flv").read_bytes())
    expected = []
    scan_tags(flv, FLV_HEADER_BYTES, len(flv), expected)
    found, demuxer = demuxed(clips(name, ".ts").read_bytes())
    shift = None
    for tag_type in (VIDEO, AUDIO):
        wanted, got = frames(expected, tag_type), frames(found, tag_type)
        # The parameter sets that HEVC encoders repeat before each keyframe are left out: the header has them.
        assert [body[-400:] for _, body in got] == [body[-400:] for _, body in wanted]
        assert name == "hevc" or [body for _, body in got] == [body for _, body in wanted]
        shift = got[0][0] - wanted[0][0] if shift is None else shift
        assert all(abs(one[0] - other[0] - shift) <= 1 for one, other in zip(got, wanted, strict=True))
        assert len(headers(found, tag_type)) == 1
    assert (demuxer.lost_packets, demuxer.skipped_bytes, demuxer.unsupported) == (0, 0, "")


@settings(max_examples=15, deadline=None)
@given(pieces=st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_any_cuts_give_the_same_tags(clip_bytes, pieces):
    data = clip_bytes()[: 300 * PACKET]
    assert demuxed(data, pieces)[0] == demuxed(data)[0]


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory):
    from kit.clips import ClipFactory

    folder = tmp_path_factory.mktemp("mpegts")
    # Not the bytes: they would be printed when a case fails.
    return ClipFactory(folder, folder / "made")("h264_bframes", ".ts").read_bytes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_bytes_raise_nothing_and_end(clip_bytes, seed):
    chance = random.Random(seed)
    data = bytearray(clip_bytes()[: 400 * PACKET])
    for _ in range(chance.randrange(1, 60)):
        at = chance.randrange(len(data))
        data[at : at + chance.choice((0, 1, 1, 1, 188))] = chance.randbytes(chance.choice((0, 1, 1, 40)))
    tags, _ = demuxed(bytes(data), (chance.randrange(1, 5000),))
    assert sum(len(body) for _, _, body in tags) <= 2 * len(data)


@pytest.mark.parametrize("stride", [192, 204])
def test_packets_with_bytes_around_them(clips, stride):
    data = clips("h264_bframes", ".ts").read_bytes()
    around = bytes(stride - PACKET)
    widened = b"".join(around + p if stride == 192 else p + around for p in packets_of(data))
    found, _ = demuxed(widened + around, (1000,))
    assert frames(found, VIDEO) == frames(demuxed(data)[0], VIDEO)


def test_rubbish_and_null_packets_in_between(stream):
    clean, _ = demuxed(joined(stream))
    null = b"\x47\x1f\xff\x10".ljust(PACKET, b"\xff")
    dirty = [
        part for number, packet in enumerate(stream) for part in ((packet, null) if number % 9 == 0 else (packet,))
    ]
    found, demuxer = demuxed(b"rubbish" * 100 + joined(dirty), (997,))
    assert found == clean
    assert demuxer.skipped_bytes == 700


@pytest.mark.parametrize("percent", [1, 4])
def test_lost_packets_cost_their_pictures_and_not_the_stream(stream, percent):
    chance = random.Random(percent)
    kept = [packet for packet in stream if chance.random() * 100 >= percent]
    found, demuxer = demuxed(joined(kept))
    whole, _ = demuxed(joined(stream))
    assert demuxer.lost_packets > 0
    bodies = {body for _, body in frames(whole, VIDEO)}
    # Nothing comes after the last that tells whether its end is missing.
    arrived = [body for _, body in frames(found, VIDEO)][:-1]
    assert set(arrived) <= bodies
    # It begins with the first keyframe that is whole.
    assert len(arrived) >= len(bodies) - demuxer.lost_packets - 27


@pytest.mark.parametrize("version", [0, 1])
def test_sound_that_comes_later(stream, version):
    """Whether or not the table's version says that it has changed."""
    half = len(stream) // 2
    data = joined([p for p in stream[:half] if pid_of(p) == PICTURE], ((H264, PICTURE),))
    data += section_packet(PMT, pmt(((H264, PICTURE), (AAC, SOUND)), version), 1) + b"".join(stream[half:])
    found, demuxer = demuxed(data)
    assert demuxer.has_sound
    assert len(headers(found, AUDIO)) == 1
    assert len(frames(found, AUDIO)) > 20


def test_tracks_that_move_to_other_pids(stream):
    half = len(stream) // 2
    moved = [with_pid(p, {PICTURE: SOUND, SOUND: PICTURE}[pid_of(p)]) for p in stream[half:]]
    streams = ((H264, SOUND), (AAC, PICTURE))
    found, _ = demuxed(joined(stream[:half]) + section_packet(PMT, pmt(streams, 1), 1) + b"".join(moved))
    whole, _ = demuxed(joined(stream))
    # What was cut in the middle by the move is lost: a picture, and the frames of a packet of sound.
    for tag_type, most in ((VIDEO, 2), (AUDIO, 16)):
        assert len(frames(found, tag_type)) >= len(frames(whole, tag_type)) - most


def test_a_track_that_comes_and_goes_in_the_table(stream):
    """Its frames go on when it is listed again."""
    third = len(stream) // 3
    gone = section_packet(PMT, pmt(((H264, PICTURE),), 1), 1)
    back = section_packet(PMT, pmt(((H264, PICTURE), (AAC, SOUND)), 2), 2)
    data = joined(stream[:third]) + gone + b"".join(stream[third : 2 * third]) + back + b"".join(stream[2 * third :])
    found, _ = demuxed(data)
    assert 40 < len(frames(found, AUDIO)) < len(frames(demuxed(joined(stream))[0], AUDIO))


def test_the_program_with_a_picture_is_taken(stream):
    """A radio comes first in the list."""
    tables = section_packet(0, pat({7: 0x1007, 1: PMT})) + section_packet(0x1007, pmt(((AAC, 0x777),), 0, 7))
    found, demuxer = demuxed(tables + section_packet(PMT, pmt(((H264, PICTURE), (AAC, SOUND)))) + b"".join(stream))
    assert demuxer.program.number == 1
    assert frames(found, VIDEO)
    assert frames(found, AUDIO)


@pytest.mark.parametrize(("number", "table"), [(1, 0x1001), (2, 0x1001)])
def test_a_program_that_moves(stream, number, table):
    """Its table is elsewhere, or it has another number: the other takes its place."""
    half = next(at for at in range(len(stream) // 2, len(stream)) if stream[at][1] & 0x40)
    version_1 = section(0, 1, 1, number.to_bytes(2) + (0xE000 | table).to_bytes(2))
    moved = section_packet(0, version_1, 1) + section_packet(table, pmt(((H264, PICTURE), (AAC, SOUND)), 0, number))
    found, demuxer = demuxed(joined(stream[:half]) + moved + b"".join(stream[half:]), (5000,))
    assert demuxer.program.number == number
    for tag_type in (VIDEO, AUDIO):
        assert len(frames(found, tag_type)) >= len(frames(demuxed(joined(stream))[0], tag_type)) - 16


def starts_of_pictures(stream):
    return [at for at, packet in enumerate(stream) if pid_of(packet) == PICTURE and packet[1] & 0x40]


@pytest.mark.parametrize("table", [0x1001, PICTURE, SOUND])
def test_another_stream_in_between(stream, table):
    """A switch leads to another one with tables of its own, and back to the one before: both are followed.

    The table of the other may lie where the picture or the sound was.
    """
    starts, there = starts_of_pictures(stream), {PICTURE: 0x201, SOUND: 0x202}
    one, other = starts[len(starts) // 3], starts[len(starts) * 2 // 3]
    listed = section(0, 9, 0, (2).to_bytes(2) + (0xE000 | table).to_bytes(2))
    away = section_packet(0, listed, 1) + section_packet(table, pmt(((H264, 0x201), (AAC, 0x202)), 0, 2))
    away += b"".join(with_pid(packet, there[pid_of(packet)]) for packet in stream[one:other])
    back = section_packet(0, pat({1: PMT}), 2) + section_packet(PMT, pmt(((H264, PICTURE), (AAC, SOUND))), 1)
    found, demuxer = demuxed(joined(stream[:one]) + away + back + b"".join(stream[other:]), (5000,))
    assert demuxer.program.number == 1
    for tag_type in (VIDEO, AUDIO):
        assert len(frames(found, tag_type)) >= len(frames(demuxed(joined(stream))[0], tag_type)) - 16


def test_a_table_of_another_kind_where_programs_are_listed(stream):
    """It lists none, and takes none away."""
    half = len(stream) // 2
    strange = section_packet(0, section(0x42, 1, 0, bytes(8)), 1)
    mute = section_packet(PMT, pmt(((H264, PICTURE),), 1), 1)
    found, demuxer = demuxed(joined(stream[:half]) + strange + mute + b"".join(stream[half:]), (5000,))
    assert demuxer.program.kinds == {"video"}
    assert len(frames(found, VIDEO)) == len(frames(demuxed(joined(stream))[0], VIDEO))


def test_what_has_to_be_encoded_is_told_by_name(stream):
    assert demuxed(joined(stream, ((H264, PICTURE), (AC3, SOUND))))[1].unsupported == "AC-3"
    assert demuxed(joined(stream, ((0x02, PICTURE), (AAC, SOUND))))[1].unsupported == "MPEG-2 video"


def test_a_break_of_the_counters_that_is_announced(stream):
    """By a packet without payload, as splicers send."""
    announced = b"\x47" + PICTURE.to_bytes(2) + b"\x20" + bytes((PACKET - 5, 0x80)) + b"\xff" * (PACKET - 6)
    half = len(stream) // 2
    jumped = [
        p[:3] + bytes((p[3] & 0xF0 | (p[3] & 15) + 5 & 15,)) + p[4:] for p in stream[half:] if pid_of(p) == PICTURE
    ]
    found, demuxer = demuxed(joined([p for p in stream[:half] if pid_of(p) == PICTURE] + [announced, *jumped]))
    assert demuxer.lost_packets == 0
    assert len(frames(found, VIDEO)) == len(frames(demuxed(joined(stream))[0], VIDEO))


def test_scrambled_packets_are_told_and_left_out(stream):
    scrambled = [p[:3] + bytes((p[3] | 0xC0,)) + p[4:] for p in stream]
    found, demuxer = demuxed(joined(scrambled))
    assert (found, demuxer.is_scrambled) == ([], True)


def test_stamps_go_on_where_they_wrap(stream):
    """At 2^33, with B-frames: 0.5 s after the beginning."""

    def shifted(packet):
        if not packet[1] & 0x40:
            return packet
        at = packet.find(b"\0\0\1", 4, 60)
        data = bytearray(packet)
        for place in (at + 9, at + 14) if data[at + 7] & 0x40 else (at + 9,):
            value = int.from_bytes(data[place : place + 5])
            stamp = value >> 3 & 0x1C0000000 | value >> 2 & 0x3FFF8000 | value >> 1 & 0x7FFF
            stamp = stamp + move & (1 << 33) - 1
            data[place : place + 5] = (
                value >> 36 << 36
                | (stamp >> 30) << 33
                | (stamp >> 15 & 0x7FFF) << 17
                | (stamp & 0x7FFF) << 1
                | 0x100010001
            ).to_bytes(5)
        return bytes(data)

    move = 0
    plain = demuxed(joined([shifted(p) for p in stream]))[0]
    assert plain == demuxed(joined(stream))[0]
    move = (1 << 33) - 126_000 - 45_000
    moved = demuxed(joined([shifted(p) for p in stream]))[0]
    for tag_type in (VIDEO, AUDIO):
        steps = [
            later[0] - one[0] for one, later in zip(frames(plain, tag_type), frames(plain, tag_type)[1:], strict=False)
        ]
        again = [
            later[0] - one[0] for one, later in zip(frames(moved, tag_type), frames(moved, tag_type)[1:], strict=False)
        ]
        assert all(abs(one - other) <= 1 for one, other in zip(steps, again, strict=True))


def test_packets_that_are_sent_twice_count_once(stream):
    twice = [packet for number, packet in enumerate(stream) for packet in [packet] * (2 if number % 7 == 3 else 1)]
    found, demuxer = demuxed(joined(twice), (5000,))
    assert found == demuxed(joined(stream))[0]
    assert demuxer.lost_packets == 0


def test_tracks_of_data_stand_aside(stream):
    """Cues of SCTE-35 and ID3 are known to be data, and touch neither picture nor sound."""
    cue, id3 = 0x102, 0x103
    streams = ((H264, PICTURE), (0x86, cue), (0x15, id3), (AAC, SOUND))
    section_of_cue = section_packet(cue, section(0xFC, 1, 0, bytes(20)))
    pes_of_id3 = section_packet(id3, b"")[:4] + b"\0\0\1\xbd\0\0\x84\x80\5!\0\1\0\1ID3".ljust(PACKET - 4, b"\0")
    packets = [part for packet in stream for part in (packet, section_of_cue, pes_of_id3)]
    found, demuxer = demuxed(joined(packets, streams), (5000,))
    assert found == demuxed(joined(stream))[0]
    assert [one.codec for one in demuxer.program.streams if one.kind == "data"] == ["SCTE-35", "ID3"]
    assert demuxer.unsupported == ""


def payload_of(packet):
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def test_pictures_in_packets_that_tell_their_length(stream):
    """They are handed out when their last byte is there, not when the next begins."""
    told, sizes = [], []
    for packet in (packet for packet in stream if pid_of(packet) == PICTURE):
        if packet[1] & 0x40:
            sizes.append(0)
        sizes[-1] += len(payload_of(packet))
        told.append(packet)
    lengths = iter(sizes)
    for number, packet in enumerate(told):
        if packet[1] & 0x40:
            size, at = next(lengths), PACKET - len(payload_of(packet)) + 4
            told[number] = packet[:at] + (size - 6 if size < 1 << 16 else 0).to_bytes(2) + packet[at + 2 :]
    found, _ = demuxed(joined(told, ((H264, PICTURE),)), (5000,))
    plain, _ = demuxed(joined([p for p in stream if pid_of(p) == PICTURE], ((H264, PICTURE),)))
    assert found == plain
    demuxer, out = TsDemuxer(), []
    demuxer.feed(joined(told, ((H264, PICTURE),)), out)
    assert len(frames(out, VIDEO)) == len(sizes)


@pytest.mark.parametrize("codec", ["aac", "mp3"])
def test_other_sound_than_adts(clips, tmp_path, codec):
    """AAC in LATM, and MP3: frames and stamps are those in FLV."""
    made, flv, expected = tmp_path / "made.ts", tmp_path / "made.flv", []
    encoding = ("-c", "copy") if codec == "aac" else ("-c:a", "libmp3lame", "-ar", "44100", "-b:a", "96k")
    ffmpeg = [programs.ffmpeg(), "-v", "error", "-nostdin"]
    programs.run([*ffmpeg, "-i", clips("h264_bframes"), "-c", "copy", *encoding, flv])
    programs.run([*ffmpeg, "-i", flv, "-c", "copy", "-mpegts_flags", "latm", made])
    data = memoryview(flv.read_bytes())
    scan_tags(data, FLV_HEADER_BYTES, len(data), expected)
    found, demuxer = demuxed(made.read_bytes(), (5000,))
    wanted, got = frames(expected, AUDIO), frames(found, AUDIO)
    assert demuxer.unsupported == ""
    assert [body for _, body in got] == [body for _, body in wanted]
    steps = {one[0] - other[0] for one, other in zip(got, wanted, strict=True)}
    assert max(steps) - min(steps) <= 2
