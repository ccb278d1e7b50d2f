"""The timeline's promises, one test each: order, join, repair and wrap, with stamps set instead of waited for."""

from itertools import pairwise

import pytest

from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, OTHER, SCRIPT, SEQUENCE_HEADER, START, VIDEO, LaidTag, Tag
from streamferry.timeline import Pace, Timeline
from streamferry.timeline.pace import LEAD_MS
from streamferry.wire.amf0 import serialize_amf0
from streamferry.wire.flv import parse_metadata, serialize_metadata

KEY = b"\x17\x01\x00\x00\x00key"
INTER = b"\x27\x01\x00\x00\x00inter"
SOUND = b"\xaf\x01sound"
AVC_HEADER = b"\x17\x00\x00\x00\x00avc"
AAC_HEADER = b"\xaf\x00\x12\x10"
WRAP = 1 << 32
HOUR_MS = 3_600_000


def live(start: int, seconds: float, *, gop: int = 25, with_audio: bool = True) -> list[Tag]:
    """25 fps video and 20 ms sound from ``start``, interleaved as a server does, stamps wrapping at 2^32."""
    tags: list[Tag] = [(VIDEO, start % WRAP, AVC_HEADER)]
    if with_audio:
        tags.append((AUDIO, start % WRAP, AAC_HEADER))
    for index in range(int(seconds * 25)):
        ms = index * 40
        tags.append((VIDEO, (start + ms) % WRAP, INTER if index % gop else KEY))
        if with_audio:
            tags.extend((AUDIO, (start + ms + extra) % WRAP, SOUND) for extra in (0, 20))
    return tags


def lay(timeline: Timeline, tags: list[Tag]) -> list[LaidTag]:
    """Lay tags in beats of seven, as they never come all at once."""
    out: list[LaidTag] = []
    for index in range(0, len(tags), 7):
        timeline.lay(tags[index : index + 7], out)
    return out


def stamps(laid: list[LaidTag], tag_type: int) -> list[int]:
    """DTS of a track's frames."""
    return [dts for kind_type, dts, _, kind in laid if kind_type == tag_type and kind <= KEYFRAME]


def assert_strictly_rising(laid: list[LaidTag]) -> None:
    """DTS of each track rise strictly."""
    for track in (AUDIO, VIDEO):
        times = stamps(laid, track)
        assert all(a < b for a, b in pairwise(times)), track


def steps(values: list[int]) -> set[int]:
    """Distances between neighbours."""
    return {b - a for a, b in pairwise(values)}


def begun(start_ms: int = 0) -> Timeline:
    """A timeline inside its first live segment."""
    timeline = Timeline(start_ms)
    timeline.begin_live()
    return timeline


@pytest.mark.parametrize("start", [0, 777, 1 << 24, 1 << 31, WRAP - 1000])
def test_a_stream_starts_at_the_clock_wherever_its_own_stamps_start(start: int) -> None:
    """The first keyframe gets the clock's start, and all that follows keeps its distance, over any wrap."""
    timeline = begun()
    laid = lay(timeline, live(start, 2))
    assert stamps(laid, VIDEO) == list(range(0, 2000, 40))
    assert stamps(laid, AUDIO) == list(range(0, 2000, 20))
    assert timeline.repairs == 0


@pytest.mark.parametrize("near", [1 << 24, 1 << 31, WRAP])
def test_the_output_clock_runs_through_the_limits_of_the_wire(near: int) -> None:
    """Stamps on the output clock are plain integers: they do not fold at 24, 31 or 32 bits."""
    timeline = begun(near - 1000)
    laid = lay(timeline, live(0, 2))
    assert stamps(laid, VIDEO)[-1] == near - 1000 + 1960


def test_a_segment_starts_at_a_keyframe_with_its_headers_before_it() -> None:
    """Frames before the first keyframe are dropped, and so is the sound that belongs to them."""
    tags = live(0, 3)
    laid = lay(begun(), tags[:2] + tags[3 * 5 + 2 :])
    kinds = [kind for _, _, _, kind in laid]
    assert kinds[:4] == [METADATA, SEQUENCE_HEADER, SEQUENCE_HEADER, START]
    assert min(stamps(laid, AUDIO)) >= min(stamps(laid, VIDEO)) == 0


def test_sound_that_arrives_before_its_keyframe_is_kept_if_it_belongs_after_it() -> None:
    """A server that sends the sound of an instant before its picture loses no sound."""
    tags: list[Tag] = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]
    tags += [(AUDIO, ms, SOUND) for ms in (960, 980, 1000, 1020)] + [(VIDEO, 1000, KEY), (AUDIO, 1040, SOUND)]
    assert stamps(lay(begun(), tags), AUDIO) == [0, 20, 40]


def test_a_stream_without_picture_starts_with_its_sound() -> None:
    """Audio alone is relayed from its first tag, once it is clear that no video comes."""
    tags: list[Tag] = [(AUDIO, 5000, AAC_HEADER), *((AUDIO, 5000 + ms, SOUND) for ms in range(0, 4000, 20))]
    assert stamps(lay(begun(), tags), AUDIO) == list(range(0, 4000, 20))


def test_sound_waits_for_a_picture_that_metadata_promises() -> None:
    """A server without a GOP cache sends sound for seconds before the first keyframe; the stream starts with that."""
    sound: list[Tag] = [(AUDIO, ms, SOUND) for ms in range(0, 9000, 20)]
    promise: Tag = (SCRIPT, 0, serialize_metadata({"videocodecid": 7.0}))
    laid = lay(begun(), [promise, *sound, (VIDEO, 9000, KEY), (AUDIO, 9000, SOUND)])
    assert stamps(laid, VIDEO) == stamps(laid, AUDIO) == [0]


def test_a_promised_picture_is_not_waited_for_for_ever() -> None:
    """Metadata that lies costs some seconds of sound, not the stream."""
    promise: Tag = (SCRIPT, 0, serialize_metadata({"videocodecid": 7.0}))
    laid = lay(begun(), [promise, *((AUDIO, ms, SOUND) for ms in range(0, 20_000, 20))])
    assert len(stamps(laid, AUDIO)) > 200


def test_a_stream_without_sound_is_relayed() -> None:
    """Video alone needs nothing else."""
    assert stamps(lay(begun(), live(0, 1, with_audio=False)), VIDEO) == list(range(0, 1000, 40))


def test_a_new_session_joins_where_the_last_one_ended() -> None:
    """After a reconnect, stamps of any value continue one frame after the last, sound and picture together."""
    timeline = begun()
    laid = lay(timeline, live(10 * HOUR_MS, 2))
    timeline.begin_live()
    laid += lay(timeline, live(333, 2))
    assert steps(stamps(laid, VIDEO)) == {40}
    assert steps(stamps(laid, AUDIO)) == {20}


def test_headers_are_resent_only_when_they_change() -> None:
    """A source that repeats its headers does not trouble the destination; a new header goes through."""
    timeline = begun()
    laid = lay(timeline, live(0, 1))
    timeline.begin_live()
    laid += lay(timeline, live(0, 1))
    changed = b"\x17\x00\x00\x00\x00other"
    laid += lay(timeline, [(VIDEO, 1000, changed)])
    assert [body for _, _, body, kind in laid if kind == SEQUENCE_HEADER] == [AVC_HEADER, AAC_HEADER, changed]


def test_after_a_changed_header_the_next_picture_is_a_keyframe() -> None:
    """Frames that would be decoded with the wrong header are dropped."""
    timeline = begun()
    lay(timeline, live(0, 1))
    changed = b"\x17\x00\x00\x00\x00other"
    laid = lay(timeline, [(VIDEO, 1000, changed), (VIDEO, 1000, INTER), (VIDEO, 1040, KEY), (VIDEO, 1080, INTER)])
    assert stamps(laid, VIDEO) == [1040, 1080]


@pytest.mark.parametrize("jump_ms", [10 * HOUR_MS, 11_000, -2000, -1000])
def test_a_jump_of_the_source_clock_is_closed_and_counted(jump_ms: int) -> None:
    """Whether stamps leap ahead or fall back, the output goes on frame by frame and the offset A/V is unchanged."""
    timeline = begun()
    before = live(HOUR_MS, 3)
    after = [tag for tag in live(HOUR_MS + 3000 + jump_ms, 3) if tag[2] not in (AVC_HEADER, AAC_HEADER)]
    laid = lay(timeline, before + after)
    assert steps(stamps(laid, VIDEO)) == {40}
    assert steps(stamps(laid, AUDIO)) == {20}
    assert timeline.repairs == 1


def test_a_source_that_starts_again_from_zero_is_closed_up() -> None:
    """An encoder restart behind the same server connection costs no time on the output."""
    timeline = begun()
    laid = lay(timeline, live(HOUR_MS, 2) + live(0, 2))
    assert steps(stamps(laid, VIDEO)) == {40}
    assert steps(stamps(laid, AUDIO)) == {20}


def test_stragglers_of_the_old_clock_stay_in_their_place() -> None:
    """Sound that was sent after the picture had jumped, but belongs before, keeps its offset."""
    timeline = begun()
    lay(timeline, live(0, 1))
    far = 10 * HOUR_MS
    laid = lay(timeline, [(VIDEO, far, KEY), (AUDIO, 1000, SOUND), (AUDIO, far + 20, SOUND), (VIDEO, far + 40, INTER)])
    assert stamps(laid, VIDEO) == [1000, 1040]
    assert stamps(laid, AUDIO) == [1000, 1020]
    assert timeline.repairs == 1


def test_disorder_is_bumped_and_counted() -> None:
    """Equal and slightly falling stamps come out strictly rising; each that falls is counted."""
    timeline = begun()
    lay(timeline, live(0, 1))
    laid = lay(timeline, [(VIDEO, ms, INTER) for ms in (1000, 1000, 990, 1040)])
    assert stamps(laid, VIDEO) == [1000, 1001, 1002, 1040]
    assert timeline.repairs == 1


def test_a_pause_in_one_track_is_not_a_jump() -> None:
    """Sound that is off for a minute while the picture goes on comes back in its own place."""
    timeline = begun()
    lay(timeline, live(0, 1))
    lay(timeline, [(VIDEO, ms, INTER) for ms in range(1000, 61_000, 40)])
    assert stamps(lay(timeline, [(AUDIO, 61_000, SOUND)]), AUDIO) == [61_000]
    assert timeline.repairs == 0


def test_a_gop_cache_older_than_the_metadata_starts_at_zero() -> None:
    """Servers send a metadata tag stamped now before cached frames stamped earlier: nothing gets negative."""
    tags: list[Tag] = [(SCRIPT, 9000, b"\x02\x00\x0aonMetaData"), *live(5000, 1)]
    laid = lay(begun(), tags)
    assert stamps(laid, VIDEO)[0] == 0
    assert all(dts >= 0 for _, dts, _, _ in laid)


def test_a_destination_gets_metadata_and_headers_in_force() -> None:
    """What a new publish session must send first is kept."""
    timeline = begun()
    cue_point = serialize_amf0("onCuePoint", {"name": "ad"})
    laid = lay(timeline, [*live(0, 1), (SCRIPT, 500, cue_point)])
    metadata, *headers = timeline.headers
    assert [body for _, _, body, _ in headers] == [AVC_HEADER, AAC_HEADER]
    assert parse_metadata(metadata[2])["audiosamplerate"] == 44100.0
    # A cue point is no metadata: it goes through and is forgotten.
    assert laid[-1][2:] == (cue_point, OTHER)


def test_pace_is_absolute() -> None:
    """What is due depends on the time alone, to the millisecond, after a week as after a second."""
    pace = Pace(500, 100.0)
    assert pace.due_ms(100.0) == 500 + LEAD_MS
    assert pace.due_ms(101.25) == 1750 + LEAD_MS
    assert pace.due_ms(100.0 + 7 * 86400) == 500 + LEAD_MS + 7 * 86_400_000


@pytest.mark.parametrize("tags_each", [2, 4])
def test_a_picture_in_several_tags_was_repaired_for_ever(tags_each: int) -> None:
    """R01, C2: a tag with SEI alone, or one for each slice, has the stamp of its picture: they stay in order."""
    timeline, begun_at = begun(), 5_000
    parts = [(VIDEO, begun_at + 40 * at, b"\x27\1\0\0\0" + bytes((at, part))) for at in range(200) for part in range(4)]
    parts = [tag for tag in parts if tag[2][-1] < tags_each]
    laid = lay(timeline, [(VIDEO, begun_at - 40, KEY), *parts])[-len(parts) :]
    assert [tag[2] for tag in laid] == [tag[2] for tag in parts]
    assert_strictly_rising(laid)
    firsts = [tag[1] for tag in laid[::tags_each]]
    assert steps(firsts) == {40}
    assert max(tag[1] - firsts[tag[2][-2]] for tag in laid) == tags_each - 1
    assert timeline.repairs == 0


def test_a_stamp_from_before_the_last_picture_is_no_part_of_it() -> None:
    timeline = begun()
    lay(timeline, [(VIDEO, ms, INTER if ms else KEY) for ms in (0, 40, 40, 80, 40)])
    assert timeline.repairs == 1


def test_small_steps_back_of_sound_add_up_to_nothing() -> None:
    """A30: a tag of sound that is 70 ms early each 3 s, for an hour: the output goes with the source's clock."""
    timeline, out = begun(), list[LaidTag]()
    for ms in range(0, HOUR_MS, 40):
        out.clear()
        early_ms = 70 if ms % 3_000 == 0 and ms else 0
        timeline.lay([(VIDEO, ms, INTER if ms % 1000 else KEY), (AUDIO, ms - early_ms, SOUND)], out)
    assert [tag[1] for tag in out if tag[0] == VIDEO] == [HOUR_MS - 40]
    assert abs(stamps(out, AUDIO)[0] - (HOUR_MS - 40)) <= 5


@pytest.mark.parametrize("repeated_ms", [1_000, 3_000])
def test_pictures_that_come_twice_within_a_session_are_played_twice_and_in_step(repeated_ms: int) -> None:
    """A28 e (decision 0052): its own clock says that nothing is repeated, so nothing is dropped, or out of order."""
    timeline, tags = begun(), live(0, 10)
    again = [tag for tag in tags if tag[1] >= 10_000 - repeated_ms]
    laid = lay(timeline, tags + again + live(10_000, 5)[2:])
    assert_strictly_rising(laid)
    assert len(stamps(laid, VIDEO)) == (15_000 + repeated_ms) // 40
    assert stamps(laid, VIDEO)[-1] == 15_000 + repeated_ms - 40
    assert stamps(laid, AUDIO)[-1] == 15_000 + repeated_ms - 20
    assert timeline.repairs <= 2


@pytest.mark.parametrize("own_ms", [0, 2_000])
def test_two_seconds_of_sound_before_the_first_picture_move_nothing(own_ms: int) -> None:
    """R11: of sound that begins before the picture what belongs after its start is kept, as far from it as it was."""
    timeline = begun()
    early = [(AUDIO, own_ms + ms, SOUND) for ms in range(0, 2_000, 20)]
    after = [tag for tag in live(2_000, 5) if tag[0] != AUDIO]
    sounds = [(AUDIO, own_ms + 2_000 + ms, SOUND) for ms in range(0, 5_000, 20)]
    laid = lay(timeline, early + sorted(after + sounds, key=lambda tag: tag[1] - (own_ms if tag[0] == AUDIO else 0)))
    assert stamps(laid, VIDEO) == list(range(0, 5_000, 40))
    assert stamps(laid, AUDIO) == list(range(0, own_ms + 5_000, 20))
    assert timeline.repairs == 0
