"""Sound of cameras that FLV cannot carry: encoded beside the picture, which stays as it is, and at its time."""

import array
import asyncio
import subprocess
from dataclasses import replace

import pytest

from kit import programs
from kit.camera import Camera
from kit.live_hls import watch
from kit.rtp import RtpClip
from kit.waiting import PATIENCE_S
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import open_live
from streamferry.source.live import SCRATCH_BYTES
from streamferry.source.rtsp_inlet import RtspInlet
from streamferry.source.sound_child import SoundStarts
from streamferry.source.sound_encoder import SoundEncoder
from streamferry.wire.flv import serialize_tag
from streamferry.wire.rtsp.opus_sound import OpusSoundTrack, samples_of
from streamferry.wire.rtsp.plain_sound import PlainSoundTrack
from streamferry.wire.rtsp.sdp import parse_description

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]

#: (payload type, rtpmap, arguments of ffmpeg, bytes and ticks of a packet of 20 ms)
FORMS = {
    "PCMA": ("8", "PCMA/8000", ("-f", "alaw", "-ar", "8000", "-ac", "1"), 160, 160),
    "PCMU": ("0", "PCMU/8000", ("-f", "mulaw", "-ar", "8000", "-ac", "1"), 160, 160),
    "L16": ("98", "L16/16000", ("-f", "s16be", "-ar", "16000", "-ac", "1"), 640, 320),
    "G722": ("9", "G722/8000", ("-f", "g722", "-ar", "16000", "-ac", "1"), 160, 160),
    "G726": ("98", "G726-32/8000", ("-f", "g726le", "-ar", "8000", "-ac", "1", "-b:a", "32k"), 80, 160),
}
_UP, _RATE_HZ = 2000, 48_000


def converted(clip, arguments):
    words = [programs.ffmpeg(), "-v", "error", "-i", str(clip), "-vn", *arguments, "pipe:1"]
    return subprocess.run(words, capture_output=True, check=True).stdout


def with_opus(clips, tmp_path, *options):
    """The sound of the clip in packets of 20 ms, as ffmpeg sends it over RTP."""
    clip, path = RtpClip(clips("flash_beep", ".flv")), tmp_path / "sound.ogg"
    encoding = ("-c:a", "libopus", "-page_duration", "1", *options)
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clips("flash_beep"), "-vn", *encoding, path])
    clip.replace_sound("98", "opus/48000/2", b"", packet_bytes=1, packet_ticks=960)
    ticks = 0
    for packet in packets_of_ogg(path.read_bytes())[2:]:
        clip.audio.add(ticks / 48_000, ticks / 48_000, packet, marker=False)
        ticks += samples_of(packet)
    return clip


def packets_of_ogg(data):
    packets, begun, at = [], b"", 0
    while at < len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + len(lacing)
        for size in lacing:
            begun += data[at : at + size]
            at += size
            if size < 255:
                packets.append(begun)
                begun = b""
    return packets


def with_sound(clips, name):
    form, rtpmap, arguments, packet_bytes, packet_ticks = FORMS[name]
    clip = RtpClip(clips("flash_beep", ".flv"))
    data = converted(clips("flash_beep"), arguments)
    clip.replace_sound(form, rtpmap, data, packet_bytes=packet_bytes, packet_ticks=packet_ticks)
    return clip


def beeps_ms(tags):
    """When each beep begins, by the stamps of the frames that have it."""
    flv = b"FLV\1\4\0\0\0\x09\0\0\0\0" + b"".join(serialize_tag(*tag) for tag in tags)
    words = [programs.ffmpeg(), "-v", "error", "-f", "flv", "-i", "pipe:0", "-ac", "1", "-f", "s16le", "pipe:1"]
    sound = array.array("h", subprocess.run(words, input=flv, capture_output=True, check=True).stdout)
    loud = [at for at, level in enumerate(sound) if abs(level) > _UP]
    begins = [at for earlier, at in zip([-_RATE_HZ, *loud], loud, strict=False) if at - earlier > _RATE_HZ // 2]
    return [tags[0][1] + at * 1000 / _RATE_HZ for at in begins]


async def encoded(clip, packets=None):
    media = next(one for one in parse_description(clip.description().encode()).media if one.kind == "audio")
    out = []
    track = (OpusSoundTrack if media.encoding == "OPUS" else PlainSoundTrack)(media, out, is_ordered=True)
    encoder = SoundEncoder(track, MediaUrl.parse("rtsp://camera.example/cam"), SoundStarts())
    scratch = memoryview(bytearray(SCRATCH_BYTES))
    for packet in clip.audio.packets if packets is None else packets:
        track.receive(packet.data, packet.at_s)
        encoder.work(scratch, out)
    last = packet.at_s * 1000 + 30_000
    async with asyncio.timeout(PATIENCE_S):
        # What the child still holds: its readers take up to 1 KB at a time, of G.726 half a second.
        while not out or out[-1][1] < last - 700:
            encoder.work(scratch, out)
            await asyncio.sleep(0.01)
    encoder.close()
    await end_all()
    return out


@pytest.mark.parametrize("name", FORMS)
async def test_each_kind_is_encoded_and_lies_where_it_was(clips, name):
    found = beeps_ms(await encoded(with_sound(clips, name)))
    # The clip beeps 0.4 s after each second; its clock begins at 30 s.
    assert found == pytest.approx([30_400 + 1000 * number for number in range(len(found))], abs=15)
    assert len(found) >= 2


async def test_packets_that_are_missing_shift_nothing(clips):
    clip = with_sound(clips, "PCMA")
    packets = [one for number, one in enumerate(clip.audio.packets) if not 30 <= number < 55]
    found = beeps_ms(await encoded(clip, packets))
    assert found[:2] == pytest.approx([30_400, 31_400], abs=15)


@pytest.mark.parametrize(
    "options", [(), ("-frame_duration", "60"), ("-application", "voip", "-b:a", "16k", "-ac", "1")]
)
async def test_opus_is_encoded_and_lies_where_it_was(clips, tmp_path, options):
    """Its encoder puts 6.5 ms before the first sound."""
    found = beeps_ms(await encoded(with_opus(clips, tmp_path, *options)))
    assert found == pytest.approx([30_400 + 1000 * number for number in range(len(found))], abs=20)
    assert len(found) >= 2


async def test_packets_of_opus_that_are_missing_shift_nothing(clips, tmp_path):
    clip = with_opus(clips, tmp_path)
    packets = [one for number, one in enumerate(clip.audio.packets) if not 30 <= number < 55]
    found = beeps_ms(await encoded(clip, packets))
    assert found[:2] == pytest.approx([30_400, 31_400], abs=20)


async def test_packets_of_opus_that_no_decoder_takes_shift_nothing(clips, tmp_path):
    """Two frames of one size in an odd number of bytes."""
    clip = with_opus(clips, tmp_path)
    none = b"\xf1" + bytes(31)
    packets = [
        replace(one, data=one.data[:12] + none) if 30 <= number < 55 else one
        for number, one in enumerate(clip.audio.packets)
    ]
    found = beeps_ms(await encoded(clip, packets))
    assert found[:2] == pytest.approx([30_400, 31_400], abs=20)


@pytest.mark.parametrize("name", ["PCMA", "opus"])
async def test_a_camera_whose_sound_is_encoded(clips, peers, tmp_path, name):
    """The picture does not go through a child, and is there at once."""
    camera = Camera(with_opus(clips, tmp_path) if name == "opus" else with_sound(clips, name))
    port = await peers.serve(camera.serve)
    inlet = await open_live(MediaUrl.parse(f"rtsp://127.0.0.1:{port}/cam"), deadlines=Deadlines())
    assert isinstance(inlet, RtspInlet)
    assert not inlet.is_mute
    pictures, sounds = [], []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(pictures) < 20 or len(sounds) < 20:
                seen = await watch(inlet, 0.3)
                assert seen.error is None
                pictures += seen.pictures
                sounds += seen.sounds
    finally:
        inlet.close()
        await end_all()
    assert [body for *_, body in pictures][:20] == [body for _, body in camera.clip.pictures][:20]
    assert camera.most_at_once == 1
