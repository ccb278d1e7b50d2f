"""Segments that begin about where 32-bit stamps wrap, or 0 is."""

from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.timeline import Timeline

WRAP = 1 << 32
KEY, INTER, SOUND = b"\x17\x01\0\0\0key", b"\x27\x01\0\0\0inter", b"\xaf\x01sound"
AVC_HEADER, AAC_HEADER, OTHER_AAC_HEADER = b"\x17\0\0\0\0config", b"\xaf\0\x12\x10", b"\xaf\0\x11\x88"


def lay(tags):
    timeline = Timeline()
    timeline.begin_live()
    laid = []
    timeline.lay(tags, laid)
    return timeline, {track: [tag[1] for tag in laid if tag[0] == track and tag[3] <= KEYFRAME] for track in (8, 9)}


def test_sound_from_before_a_wrap_pulled_itself_away_from_a_keyframe_after_it():
    """It was held, belongs before the start, and was laid as a jump of the sound: 0.9 s apart for good."""
    held = [(AUDIO, ms % WRAP, SOUND) for ms in range(WRAP - 500, WRAP + 600, 20)]
    tags = [(VIDEO, 400 + ms, KEY if ms == 0 else INTER) for ms in range(0, 400, 40)]
    timeline, laid = lay([(VIDEO, 0, AVC_HEADER), *held, *tags, *[(AUDIO, ms, SOUND) for ms in range(600, 800, 20)]])
    assert (laid[AUDIO], timeline.repairs) == (list(range(0, 400, 20)), 0)


def test_a_step_back_from_0_was_a_jump():
    """An encoder that begins at 0 and is at -4 with its second picture: one frame is bumped, no clock restarts."""
    tags = [(VIDEO, ms % WRAP, INTER if ms else KEY) for ms in (0, -4, 32, 48, 64)]
    sounds = [(AUDIO, ms, SOUND) for ms in range(0, 640, 20)]
    timeline, laid = lay([(VIDEO, 0, AVC_HEADER), tags[0], *sounds, *tags[1:]])
    assert (laid[VIDEO], timeline.repairs) == ([0, 1, 32, 48, 64], 1)


def test_sound_held_with_the_header_of_other_sound():
    """The source changes its sound while it waits for a keyframe: what was held needs the header before."""
    before = [(AUDIO, 0, AAC_HEADER), *[(AUDIO, ms, SOUND + b"1") for ms in range(100, 200, 20)]]
    after = [(AUDIO, 200, OTHER_AAC_HEADER), *[(AUDIO, ms, SOUND + b"2") for ms in range(200, 300, 20)]]
    timeline = Timeline()
    timeline.begin_live()
    laid = []
    timeline.lay([(VIDEO, 0, AVC_HEADER), *before, *after, (VIDEO, 100, KEY)], laid)
    assert {tag[2] for tag in laid if tag[0] == AUDIO} == {OTHER_AAC_HEADER, SOUND + b"2"}
