"""Feeds: when a live source is given up, and what a list of files has laid by which time. Time is an argument."""

import asyncio
from itertools import pairwise

import pytest

from scripted.camera import METADATA_BODY, Camera, frames, number_of, picture, sound
from scripted.memory_file import MemoryFile
from scripted.publishing import publishing
from scripted.waiting import until
from streamferry.media.errors import SourceCorrupt, SourceNeedsEncoding, SourceStalled
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, SEQUENCE_HEADER, VIDEO, TagKind
from streamferry.media.url import MediaUrl
from streamferry.push import Outlet
from streamferry.relay.feed import PICTURE_LOST_S, UNUSABLE_S, LiveFeed
from streamferry.relay.file_feed import LATE_S, FileFeed
from streamferry.relay.header_forms import check_h264
from streamferry.relay.list_entry import AHEAD_MS
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.silence import Silence
from streamferry.relay.spec import Item
from streamferry.relay.status import START, Playhead
from streamferry.source.live import SILENCE_S
from streamferry.source.prepared import PreparedReader
from streamferry.timeline import Timeline
from streamferry.timeline.pace import LEAD_MS

URL, OTHER_URL = (MediaUrl.parse(f"http://films.example/{name}.m4a") for name in ("one", "other"))
SCRATCH = memoryview(bytearray(1 << 16))


class Inlet:
    """A live source that gives what a test puts in."""

    silence_s = SILENCE_S
    is_mute = False

    def __init__(self):
        self.tags = []
        self.error = None
        self.is_closed = False

    def pull(self, scratch, out, read=None):
        out += self.tags
        size = sum(len(tag[2]) for tag in self.tags)
        self.tags = []
        if self.error is not None:
            raise self.error
        return size

    def close(self):
        self.is_closed = True


@pytest.fixture
def live():
    """A live feed begun at 100 s, and its inlet."""
    inlet = Inlet()
    return LiveFeed(inlet, Timeline(), SCRATCH, 100.0), inlet


def pull(feed, now):
    laid = []
    feed.pull(now, laid)
    return laid


def test_a_live_source_is_given_up_after_five_seconds_of_silence(live):
    """Counted from its last media, or from the beginning when none ever came."""
    feed, inlet = live
    feed.check_liveness(100.0 + SILENCE_S - 0.01)
    with pytest.raises(SourceStalled, match="has sent no media for 5 s"):
        feed.check_liveness(100.0 + SILENCE_S)
    inlet.tags = Camera().shoot()
    pull(feed, 104.0)
    feed.check_liveness(104.0 + SILENCE_S - 0.01)
    with pytest.raises(SourceStalled):
        feed.check_liveness(104.0 + SILENCE_S)


def test_a_play_that_waits_for_its_publisher_was_torn_down_for_a_pause_of_half_a_minute():
    """Where the next try would come in 30 s, this one waits as long for its first media; after that 5 s are enough."""
    inlet = Inlet()
    feed = LiveFeed(inlet, Timeline(), SCRATCH, 100.0, first_media_s=30.0)
    feed.check_liveness(100.0 + 29.9)
    with pytest.raises(SourceStalled, match="has sent no media for 30 s"):
        feed.check_liveness(100.0 + 30.0)
    inlet.tags = Camera().shoot()
    pull(feed, 129.0)
    feed.check_liveness(129.0 + SILENCE_S - 0.01)
    with pytest.raises(SourceStalled, match="has sent no media for 5 s"):
        feed.check_liveness(129.0 + SILENCE_S)


OTHER_CODECS = {
    "hvc1": (VIDEO, 40, b"\x90hvc1" + bytes(20)),
    "av01": (VIDEO, 40, b"\x90av01" + bytes(20)),
    "HEVC as 12": (VIDEO, 40, b"\x1c\0\0\0\0" + bytes(20)),
    "Sorenson": (VIDEO, 40, b"\x12" + bytes(20)),
    "HEVC in ModEx": (VIDEO, 40, b"\x97\x02\0\0\0\x01hvc1" + bytes(20)),
    "MP3": (AUDIO, 40, b"\x2f" + bytes(20)),
    "Opus": (AUDIO, 40, b"\x90Opus" + bytes(20)),
}


@pytest.mark.parametrize("other", OTHER_CODECS.values(), ids=OTHER_CODECS)
@pytest.mark.parametrize("is_first", [True, False])
def test_where_only_h264_is_taken_nothing_else_is_laid(other, is_first):
    """From the beginning, or in the midst of a stream; nothing of the same pull either."""
    inlet, camera = Inlet(), Camera()
    feed = LiveFeed(inlet, Timeline(), SCRATCH, 100.0, check=check_h264)
    if not is_first:
        inlet.tags = camera.headers() + camera.shoot()
        assert {tag[0] for tag in pull(feed, 100.1)} >= {VIDEO, AUDIO}
    inlet.tags = [(SCRIPT, 0, METADATA_BODY), other, *camera.shoot()]
    laid = []
    with pytest.raises(SourceNeedsEncoding):
        feed.pull(100.2, laid)
    assert laid == []
    plain = LiveFeed(inlet, Timeline(), SCRATCH, 100.0)
    inlet.tags = [other]
    pull(plain, 100.3)


@pytest.mark.parametrize("video", [b"\x17\0\0\0\0", b"\x90avc1", b"\x57\0", b""])
@pytest.mark.parametrize("audio", [b"\xaf\0", b"\x90mp4a", b"\x94mp4a\1", b""])
def test_where_only_h264_is_taken_any_form_of_it_passes(video, audio):
    """That of FLV 10.1 and that of Enhanced RTMP, places of loudspeakers, and bodies that say nothing."""
    inlet = Inlet()
    feed = LiveFeed(inlet, Timeline(), SCRATCH, 100.0, check=check_h264)
    inlet.tags = [(VIDEO, 0, video + bytes(20) if video else b""), (AUDIO, 0, audio)]
    pull(feed, 100.1)


def test_metadata_alone_is_silence(live):
    """A server that repeats its metadata while its camera is dead sends no media."""
    feed, inlet = live
    for second in range(5):
        inlet.tags = [(SCRIPT, 1000 * second, METADATA_BODY)]
        pull(feed, 100.0 + second)
    with pytest.raises(SourceStalled):
        feed.check_liveness(100.0 + SILENCE_S)


def test_media_that_waits_for_its_keyframe_is_no_silence(live):
    """A long group of pictures at the start is no reason to connect again: it would begin the wait anew."""
    feed, inlet = live
    camera = Camera(gop=1000)
    camera.shoot()
    for second in range(8):
        inlet.tags = camera.shoot()
        assert pull(feed, 100.0 + second) == []
    feed.check_liveness(100.0 + 8)


def test_a_source_that_never_sends_a_keyframe_is_given_up(live):
    """After half a minute of frames that nobody could begin with, in words; not once something was laid."""
    feed, inlet = live
    camera = Camera(gop=10_000)
    first = camera.shoot()
    for second in range(30):
        inlet.tags = [tag for tag in camera.shoot() if tag[0] == VIDEO]
        pull(feed, 100.0 + second)
        feed.check_liveness(100.0 + second)
    with pytest.raises(SourceStalled, match="no keyframe to begin with came in 30 s"):
        feed.check_liveness(100.0 + UNUSABLE_S)
    inlet.tags = first
    assert pull(feed, 100.0 + UNUSABLE_S)
    feed.check_liveness(100.0 + UNUSABLE_S)


def roll(feed, inlet, camera, begin, end, *, with_picture=True):
    """A camera in real time, from one moment to the other, looked at as often as by a flow."""
    for tick in range(round((end - begin) * 25)):
        inlet.tags = [tag for tag in camera.shoot() if with_picture or tag[0] == AUDIO]
        pull(feed, begin + tick / 25)
        feed.check_liveness(begin + tick / 25)


def test_a_camera_whose_picture_stops_is_given_up(live):
    """Its connection and its sound go on, as of cameras that hang: it is opened again, in words that say why."""
    feed, inlet = live
    camera = Camera()
    roll(feed, inlet, camera, 100.0, 120.0)
    roll(feed, inlet, camera, 120.0, 120.0 + PICTURE_LOST_S - 0.1, with_picture=False)
    with pytest.raises(SourceStalled, match="sends sound, but no picture any more for 15 s"):
        roll(feed, inlet, camera, 120.0 + PICTURE_LOST_S - 0.1, 120.0 + PICTURE_LOST_S + 0.1, with_picture=False)


def test_a_picture_that_comes_back_in_time_is_not_lost(live):
    """Fourteen seconds without one is no reason, however often."""
    feed, inlet = live
    camera = Camera()
    for minute in range(3):
        at = 100.0 + 60 * minute
        roll(feed, inlet, camera, at, at + 46)
        roll(feed, inlet, camera, at + 46, at + 60, with_picture=False)


def test_a_publisher_who_sends_sound_alone_is_left_alone(live):
    """What a server had kept of a picture comes first; opening it again and again would only cut the sound."""
    feed, inlet = live
    camera = Camera()
    inlet.tags = camera.film(10.0)
    pull(feed, 100.0)
    roll(feed, inlet, camera, 100.0, 200.0, with_picture=False)


def test_a_picture_that_died_after_some_seconds_was_never_missed(live):
    """It came for 8 s: sound alone went on as ``streaming`` for ever, and nobody was told."""
    feed, inlet = live
    camera = Camera()
    roll(feed, inlet, camera, 100.0, 108.0)
    with pytest.raises(SourceStalled, match="sends sound, but no picture any more for 15 s"):
        roll(feed, inlet, camera, 108.0, 140.0, with_picture=False)


def test_slides_beside_a_radio_were_opened_anew_twice_a_minute(live):
    """One picture each 20 s is what there is: none is missed."""
    feed, inlet = live
    camera = Camera(gop=1)
    for tick in range(90 * 25):
        inlet.tags = [tag for tag in camera.shoot() if tag[0] == AUDIO or tick % 500 == 0]
        pull(feed, 100.0 + tick / 25)
        feed.check_liveness(100.0 + tick / 25)


@pytest.mark.parametrize("silence", [True, False])
def test_silence_takes_the_place_of_sound_that_died(silence):
    """The picture went on alone: of the same form, in time with it, until the sound is back; only if it is wanted."""
    inlet, timeline, camera = Inlet(), Timeline(), Camera(9000)
    feed = LiveFeed(inlet, timeline, SCRATCH, 100.0, silence=silence)
    laid = []
    inlet.tags = camera.headers()
    for tick in range(60 * 25):
        died = 10 * 25 <= tick < 40 * 25
        inlet.tags += [tag for tag in camera.shoot() if tag[0] == VIDEO or not died]
        feed.pull(100.0 + tick / 25, laid)
        feed.check_liveness(100.0 + tick / 25)
        inlet.tags = []
    sounds = [tag[1] for tag in laid if tag[0] == AUDIO and tag[3] <= KEYFRAME]
    assert len([tag for tag in laid if tag[0] == AUDIO and tag[3] == SEQUENCE_HEADER]) == 1
    gaps = [later - earlier for earlier, later in pairwise(sounds) if later - earlier > 100]
    assert all(later > earlier for earlier, later in pairwise(sounds))
    assert len(gaps) == 1
    assert (3000 <= gaps[0] <= 3100) if silence else gaps[0] > 29_000
    assert sum(13_500 < ms < 39_500 for ms in sounds) == (pytest.approx(26_000 * 44.1 / 1024, abs=2) if silence else 0)
    # The sound that came back is where its pictures are.
    (picture,) = [tag[1] for tag in laid if tag[0] == VIDEO and number_of(tag) == 1400]
    assert picture in sounds
    assert timeline.repairs == 0


@pytest.mark.parametrize("header", [b"\xaf\0\x2b\x92\x08\0", b"\x90Opus", b"\xaf\0\xff\xff", b""])
def test_sound_of_a_form_that_there_is_no_silence_of_stays_away(header):
    """HE-AAC, Opus, and a damaged header: no other sound in its place, which would be another header."""
    assert Silence.after(header, 0) is None


def test_tags_before_a_loss_are_laid(live):
    """What came whole before the source broke is media, and goes on."""
    feed, inlet = live
    inlet.tags = Camera().film(0.2)
    inlet.error = SourceCorrupt("the source sent what cannot be read")
    laid = []
    with pytest.raises(SourceCorrupt):
        feed.pull(101.0, laid)
    assert [number_of(tag) for tag in frames([tag[:3] for tag in laid], VIDEO)] == [0, 1, 2, 3, 4]


def test_closing_a_live_feed_closes_its_inlet(live):
    """And counts what was received."""
    feed, inlet = live
    inlet.tags = Camera().shoot()
    pull(feed, 101.0)
    feed.close()
    assert inlet.is_closed
    assert feed.bytes_in > 400


class TagSession:
    """A session that takes tags, all of them unless it is blocked."""

    chunks = None
    is_blocked = False
    sent_bytes = acked_bytes = 0

    def __init__(self):
        self.taken = []

    def write(self, tags):
        self.taken += tags
        return len(tags)

    def flush(self):
        return not self.is_blocked


class Playing:
    """A file feed with a session, and all that it was given."""

    def __init__(self, outlet=None):
        self.outlet = outlet or Outlet()
        self.session = self.outlet.session = TagSession()
        self.steps = []
        self.feed = FileFeed(self.outlet, START, lambda *step: self.steps.append(step))
        self.laid = []

    def play_once(self, now):
        """What a visit gives."""
        self.session.taken = []
        self.feed.play(now)
        return self.session.taken

    async def put(self, *files, loop=0):
        for item, file in enumerate(files):
            await self.feed.upcoming.wait_for_room()
            self.feed.put(loop, item, PreparedReader(file))

    def play(self, begin, end, step=0.04):
        """Pull as a beat does; gives how far the media was ahead of the clock at its most."""
        ahead_ms, now = -1e9, begin
        while now < end:
            fresh = self.play_once(now)
            self.feed.note_arrived()
            self.laid += fresh
            if fresh:
                ahead_ms = max(ahead_ms, max(tag[1] for tag in fresh) - (now - begin) * 1000)
            now += step
        return ahead_ms

    def stamps(self, tag_type):
        return [tag[1] for tag in self.laid if tag[0] == tag_type and tag[3] <= KEYFRAME]


async def test_a_file_leaves_on_its_schedule():
    """Never further ahead than the lead, never behind by more than a beat, over the whole file."""
    playing, file = Playing(), MemoryFile(10)
    await playing.put(file)
    assert playing.play_once(49.0) == []
    playing.feed.begin_session(50.0)
    assert playing.play(50.0, 53.0) <= LEAD_MS
    assert playing.stamps(VIDEO)[-1] >= 3000 + LEAD_MS - 2 * 40
    playing.play(53.0, 61.0)
    assert len(playing.stamps(VIDEO)) == 250
    assert not playing.feed.finished.is_set()
    playing.feed.finish()
    playing.play(61.0, 61.1)
    assert playing.feed.finished.is_set()
    assert file.holders == 1
    playing.feed.close()
    assert file.holders == 0


async def test_each_item_is_told_when_it_begins_and_when_it_ends():
    """Once each, in order, with its place; nothing before a publish session is there."""
    playing = Playing()
    await playing.put(MemoryFile(1))
    playing.feed.put(0, 1, PreparedReader(MemoryFile(1)))
    playing.play_once(49.0)
    assert playing.steps == []
    playing.feed.begin_session(50.0)
    playing.play(50.0, 50.2)
    # A session that is built anew in the midst of an item begins nothing.
    playing.feed.end_session()
    playing.feed.begin_session(50.2)
    playing.play(50.2, 54.0)
    told = [(step, playhead.item, error) for step, playhead, error in playing.steps]
    assert told == [(step, item, None) for item in (0, 1) for step in ("item_started", "item_finished")]


async def test_short_files_are_asked_for_until_some_seconds_of_them_wait():
    """One ahead was a hole at each of thirty clips of 0.2 s (F18): a clip is over before the next one is prepared."""
    playing = Playing()
    waiting_s = 0.0
    while playing.feed.upcoming.has_room:
        await playing.put(MemoryFile(0.2))
        waiting_s += 0.2
    assert waiting_s >= 5.5
    playing = Playing()
    await playing.put(MemoryFile(10))
    assert not playing.feed.upcoming.has_room


async def test_a_beat_that_is_late_by_less_than_the_lead_changes_nothing():
    """The schedule is absolute: what viewers have buffered covers it, and nothing drifts."""
    playing = Playing()
    await playing.put(MemoryFile(10))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 1.0)
    playing.play(1.8, 1.81)
    assert 1800 + LEAD_MS - 80 <= playing.stamps(VIDEO)[-1] <= 1800 + LEAD_MS


async def test_after_a_hold_a_list_goes_on_at_the_pace_of_a_player():
    """Viewers have had nothing for longer than their buffer: they get a lead again, no flood, and are late by that."""
    playing = Playing()
    await playing.put(MemoryFile(20))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 1.0)
    before_ms = playing.stamps(VIDEO)[-1]
    playing.play(3.5, 3.51)
    assert before_ms < playing.stamps(VIDEO)[-1] <= before_ms + LEAD_MS + 80
    playing.play(3.54, 10.0)
    assert playing.stamps(VIDEO)[-1] == pytest.approx(before_ms + LEAD_MS + 6500, abs=80)


@pytest.mark.parametrize("hold_s", [1.0, 2.5])
async def test_a_list_that_keeps_time_catches_up_at_one_and_a_half_times_its_pace(hold_s):
    """After a hold that is no reason to skip: never faster than that, at no moment, and it is on time in the end."""
    playing, step = Playing(), 0.32
    playing.feed._keeps_time = lambda: True
    await playing.put(MemoryFile(30))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 3.0, step)
    now, gone_ms = 3.0 + hold_s, playing.feed.position_ms
    on_time_at = None
    while now < 15.0:
        playing.play_once(now)
        assert playing.feed.position_ms - gone_ms <= 1500 * step + 1
        gone_ms = playing.feed.position_ms
        if on_time_at is None and gone_ms >= now * 1000 + LEAD_MS - 1:
            on_time_at = now
        now += step
    assert on_time_at is not None


@pytest.mark.parametrize("pause_s", [LATE_S, 20.0, 86_400.0])
async def test_a_paused_machine_does_not_send_the_pause_at_once(pause_s):
    """A laptop that was shut, a worker that was frozen: the list goes on where it stopped, with the lead of a start."""
    playing, held_up = Playing(), []
    playing.feed._on_late = lambda: held_up.append(True)
    await playing.put(MemoryFile(30))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 1.0)
    before_ms = playing.stamps(VIDEO)[-1]
    playing.play(1.0 + pause_s, 1.01 + pause_s)
    assert before_ms < playing.stamps(VIDEO)[-1] <= before_ms + LEAD_MS + 40
    playing.play(1.04 + pause_s, 3.0 + pause_s)
    assert playing.stamps(VIDEO)[-1] == pytest.approx(before_ms + LEAD_MS + 2000, abs=80)
    assert held_up == [True]


async def test_a_destination_that_stood_still_is_not_flooded():
    """It gets the file on from where it stopped; only a stop of a moment is caught up with."""
    playing = Playing()
    await playing.put(MemoryFile(30))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 1.0)
    before_ms = playing.stamps(VIDEO)[-1]
    playing.session.is_blocked = True
    playing.play(1.0, 9.0)
    playing.session.is_blocked = False
    playing.play(9.0, 9.01)
    assert playing.stamps(VIDEO)[-1] <= before_ms + LEAD_MS + 40


async def test_a_preparation_that_was_slow_does_not_end_in_a_flood():
    """A file that had no more to give for a while goes on with a lead; that is no pause of the machine."""
    playing, held_up = Playing(), []
    playing.feed._on_late = lambda: held_up.append(True)
    file = MemoryFile(60)
    file.end_offset, file.complete = file.index.place_offsets[7], False
    await playing.put(file)
    playing.feed.begin_session(0.0)
    playing.play(0.0, 30.0)
    before_ms = playing.stamps(VIDEO)[-1]
    assert before_ms < 6000
    file.become_whole()
    playing.play(30.0, 30.01)
    assert before_ms < playing.stamps(VIDEO)[-1] <= before_ms + LEAD_MS + 80
    assert not held_up


async def test_a_file_with_few_frames_keeps_its_schedule():
    """A slide each 10 s without sound: that nothing is due for longer than ``LATE_S`` is no lateness."""
    slides = [(VIDEO, 10_000 * number, b"\x17\x01\x00\x00\x00slide") for number in range(4)]
    playing, file = Playing(), MemoryFile(headers=[], tags=slides, duration_ms=40_000)
    await playing.put(file)
    playing.feed.begin_session(0.0)
    left_at = {}
    for tick in range(32 * 25):
        for tag in playing.play_once(tick / 25):
            if tag[3] == TagKind.START:
                left_at[tag[1]] = tick / 25
    assert list(left_at) == [0, 10_000, 20_000, 30_000]
    assert left_at[30_000] == pytest.approx(30 - LEAD_MS / 1000, abs=0.1)


async def test_a_backed_up_destination_holds_the_file():
    """A file waits instead of being dropped."""
    playing = Playing()
    await playing.put(MemoryFile(10))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 1.0)
    count = len(playing.laid)
    playing.session.is_blocked = True
    last_ms = playing.stamps(VIDEO)[-1]
    playing.play(1.0, 3.0)
    assert len(playing.laid) == count
    playing.session.is_blocked = False
    playing.play(3.0, 3.1)
    assert playing.stamps(VIDEO)[-1] >= last_ms + LEAD_MS - 40


async def test_files_join_without_a_gap_or_a_step_back():
    """Loop after loop, DTS rise by one frame at the joins, and the next reader is asked for in time."""
    playing, files = Playing(), [MemoryFile(2) for _ in range(4)]
    playing.feed.begin_session(0.0)
    putting = asyncio.ensure_future(playing.put(*files))
    for tenth in range(90):
        playing.play(tenth / 10, tenth / 10 + 0.1)
        await asyncio.sleep(0)
    assert putting.done()
    steps = {tag_type: {b - a for a, b in pairwise(playing.stamps(tag_type))} for tag_type in (VIDEO, AUDIO)}
    assert steps == {VIDEO: {40}, AUDIO: {20}}
    assert len(playing.stamps(VIDEO)) == 200
    assert [file.holders for file in files] == [0, 0, 0, 1]


async def test_a_reader_that_is_left_over_is_closed():
    """One that plays and one that waits both let go of their files at the end, and when another list follows."""
    playing, files = Playing(), [MemoryFile(1), MemoryFile(1)]
    await playing.put(files[0])
    playing.feed.drop_upcoming()
    assert files[0].holders == 0
    await playing.put(files[1])
    playing.feed.close()
    assert files[1].holders == 0


async def test_a_new_session_goes_back_to_a_keyframe():
    """After a break the picture starts where a player can, not later than where it broke, and time goes on."""
    playing, file = Playing(), MemoryFile(10, gop=25)
    await playing.put(file)
    playing.feed.begin_session(0.0)
    playing.play(0.0, 2.3)
    broke_at = number_of([tag for tag in playing.laid if tag[0] == VIDEO][-1])
    last_ms = max(tag[1] for tag in playing.laid)
    playing.feed.end_session()
    assert playing.play_once(5.0) == []
    playing.laid.clear()
    playing.feed.begin_session(60.0)
    playing.play(60.0, 60.5)
    first = next(tag for tag in playing.laid if tag[0] == VIDEO and tag[3] <= KEYFRAME)
    assert first[3] == TagKind.START
    assert number_of(first) == broke_at - broke_at % 25
    assert first[1] > last_ms - 40
    assert playing.stamps(VIDEO)[-1] <= last_ms + 40 + 500 + LEAD_MS
    assert file.holders == 1
    playing.feed.close()
    assert file.holders == 0


async def test_a_file_that_breaks_off_is_told_and_the_list_goes_on():
    """All that was prepared of it is played, then the next one follows."""
    playing, broken, whole = Playing(), MemoryFile(4), MemoryFile(1)
    broken.break_off(0.5, SourceCorrupt("the download broke off"))
    playing.feed.begin_session(0.0)
    putting = asyncio.ensure_future(playing.put(broken, whole))
    for tenth in range(40):
        playing.play(tenth / 10, tenth / 10 + 0.1)
        await asyncio.sleep(0)
    assert putting.done()
    assert [str(error) for step, _, error in playing.steps if step == "item_failed"] == ["the download broke off"]
    assert len(playing.stamps(VIDEO)) == 50 + 25
    assert {b - a for a, b in pairwise(playing.stamps(VIDEO))} == {40}


async def test_all_that_a_kernel_holds_is_played_again():
    """A destination takes 1.3 s of 8 Mbps and no more; the rest, as much as fits into buffers, has not arrived."""

    class Stuck:
        tap = None
        acked_bytes = 1_300_000

        @property
        def sent_bytes(self):
            return 1_000 * playing.feed.playhead.position_ms

    playing = Playing(Stuck())
    await playing.put(MemoryFile(20))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 4.0)
    assert playing.feed.playhead.position_ms > 4_000
    playing.feed.end_session()
    playing.feed.begin_session(10.0)
    assert playing.feed.playhead.position_ms == 1_000


async def test_items_that_did_not_arrive_are_played_again_from_where_that_began():
    """Several short ones were given, of which a destination took one and a half: then come all the rest, told once."""

    class Stuck:
        tap = None
        acked_bytes = 3_500_000
        sent_bytes = 0

    outlet = Stuck()
    playing = Playing(outlet)
    files = [MemoryFile(2) for _ in range(4)]
    for item, file in enumerate(files):
        playing.feed.put(0, item, PreparedReader(file, 1_000 if item == 2 else 0))
    playing.feed.begin_session(0.0)
    for tick in range(int(5.4 / 0.04)):
        playing.play(tick * 0.04, tick * 0.04 + 0.01)
        outlet.sent_bytes = 1_000 * (playing.stamps(VIDEO)[-1] + 40)
    assert playing.feed.playhead.item == 3
    assert [file.holders for file in files] == [0, 1, 1, 1]
    steps = list(playing.steps)
    playing.feed.end_session()
    playing.feed.begin_session(20.0)
    assert (playing.feed.playhead.item, playing.feed.playhead.position_ms) == (1, 1_000)
    playing.laid.clear()
    outlet.sent_bytes, outlet.acked_bytes = 0, 0
    playing.feed.finish()
    playing.play(20.0, 25.0)
    # A second of the second item, the third one from its offset on, and the fourth.
    assert len(playing.stamps(VIDEO)) == 25 + 25 + 50
    assert {b - a for a, b in pairwise(playing.stamps(VIDEO))} == {40}
    assert playing.steps == [*steps, ("item_finished", playing.feed.playhead, None)]
    assert playing.feed.finished.is_set()


async def test_what_plays_has_its_place_in_an_edited_list():
    """It goes on where it was moved to: told under that number, and its place is known all the time."""
    playing = Playing()
    await playing.put(MemoryFile(3))
    playing.feed.put(0, 1, PreparedReader(left_over := MemoryFile(1)))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.1)
    playing.feed.drop_upcoming()
    playing.feed.follow("abc", "cba")
    assert left_over.holders == 0
    playing.play(0.1, 0.3)
    assert (playing.feed.playhead.item, playing.feed.item_end_ms) == (2, 3000)
    playing.play(0.3, 4.0)
    assert [(step, at.item) for step, at, _ in playing.steps] == [("item_started", 0), ("item_finished", 2)]


async def test_what_plays_of_the_list_before_is_no_place_in_the_next():
    """One that was taken out is played until the next is there; then where the list stands is known again."""
    playing = Playing()
    await playing.put(MemoryFile(3))
    playing.feed.put(0, 1, PreparedReader(left_over := MemoryFile(1)))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.1)
    playing.feed.drop_upcoming()
    playing.feed.follow("ab", "c")
    assert left_over.holders == 0
    playing.play(0.1, 0.3)
    assert (playing.feed.playhead, playing.feed.item_end_ms) == (None, None)
    assert playing.feed.is_waiting is False
    playing.play(0.3, 4.0)
    assert playing.feed.playhead is None
    assert [(step, playhead.item) for step, playhead, _ in playing.steps] == [("item_started", 0), ("item_finished", 0)]
    await playing.put(MemoryFile(3))
    playing.play(4.0, 4.1)
    assert playing.feed.playhead is not None
    assert (playing.feed.playhead.item, playing.feed.item_end_ms) == (0, 3000)


async def test_what_gives_way_ends_at_a_keyframe_when_the_next_list_is_there():
    """Not before, however long that takes; the join is as at any file's end, and the item is told to have ended."""
    playing, first = Playing(), MemoryFile(60, gop=25)
    await playing.put(first)
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.3)
    playing.feed.follow("a", "b")
    playing.play(0.3, 5.1)
    assert [step for step, _, _ in playing.steps] == ["item_started"]
    before = len(playing.stamps(VIDEO))
    await playing.put(second := MemoryFile(2))
    playing.play(5.1, 9.0)
    assert [step for step, _, _ in playing.steps] == ["item_started", "item_finished"] * 2
    of_first = len(playing.stamps(VIDEO)) - 50
    assert of_first % 25 == 0
    assert before <= of_first <= before + 25
    assert {b - a for a, b in pairwise(playing.stamps(VIDEO))} == {40}
    assert (first.holders, second.holders) == (0, 1)


async def test_the_playhead_says_where_the_list_stands():
    """Loop, item, and position in the item; at rest, where it stopped."""
    playing = Playing()
    await playing.put(MemoryFile(2), loop=7)
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.5)
    head = playing.feed.playhead
    assert (head.loop, head.item) == (7, 0)
    assert 1300 <= head.position_ms <= 1500
    assert not playing.feed.is_waiting
    playing.play(0.5, 3.0)
    assert playing.feed.is_waiting
    assert (playing.feed.playhead.loop, playing.feed.playhead.position_ms) == (7, 2000)


def sound_file(seconds, *, picture_from_s=None):
    """A file of sound, with places to start each second; a picture may begin late, as in an edit with an intro."""
    frames = [(AUDIO, 20 * number, sound(number)) for number in range(int(seconds * 50))]
    if picture_from_s is not None:
        begin_ms = int(picture_from_s * 1000)
        times = range(begin_ms, int(seconds * 1000), 40)
        frames += [(VIDEO, ms, picture(n, is_key=n % 25 == 0)) for n, ms in enumerate(times)]
        frames.sort(key=lambda tag: tag[1])
    headers = [tag for tag in Camera().headers() if picture_from_s is not None or tag[0] != VIDEO]
    return MemoryFile(headers=headers, tags=frames, duration_ms=int(seconds * 1000))


async def test_a_file_of_sound_gives_way_at_once():
    """It has no keyframe to wait for: another list begins when its first file is there, not when the sound ends."""
    playing = Playing()
    await playing.put(sound_file(600))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 9.6)
    playing.feed.follow([Item(URL)], [Item(OTHER_URL)])
    await playing.put(MemoryFile(10))
    playing.play(9.6, 10.4)
    assert [step for step, _, _ in playing.steps] == ["item_started", "item_finished", "item_started"]
    first_ms = next(tag[1] for tag in playing.laid if tag[0] == VIDEO and tag[3] <= KEYFRAME)
    assert first_ms == pytest.approx(9_600 + LEAD_MS, abs=100)
    assert {b - a for a, b in pairwise(playing.stamps(AUDIO))} == {20}


async def all_received(session, far):
    await until("all to arrive", lambda: far.receive() == 0 and session.acked_bytes == session.sent_bytes)


async def sounds_of_sessions(file, *lengths_s):
    """Numbers of the sounds that each of several publish sessions of one relay of a file is given to send."""
    outlet = Outlet()
    flow = ListFlow(outlet, lambda now: True)
    feed = FileFeed(outlet, START, lambda *step: None)
    flow.attach_feed(feed)
    feed.put(0, 0, PreparedReader(file))
    now, sent = 0.0, []
    for length_s in lengths_s:
        session, far = publishing()
        flow.attach_session(session, now)
        end = now + length_s
        while now < end:
            now += 0.32
            flow.visit(now)
            far.receive()
        await all_received(session, far)
        outlet.check_liveness(now)
        flow.detach_session()
        session.abort()
        far.sock.close()
        sent.append([number_of(tag) for tag in far.tags if tag[0] == AUDIO and tag[2][1] == 1])
    flow.detach_feed()
    return sent


async def test_sound_before_the_first_picture_of_a_file_is_sent_in_every_session():
    """Five seconds of an intro without a picture: the first session has all of it, the next what is left."""
    first, second = await sounds_of_sessions(sound_file(20, picture_from_s=5), 3.0, 4.0)
    assert first == list(range(len(first)))
    assert len(first) >= 150
    assert second == list(range(second[0], second[0] + len(second)))
    assert second[0] <= len(first)
    assert len(second) >= 200


async def test_sound_a_little_before_the_first_picture_of_a_file_is_sent():
    """Priming of the sound's decoder, and a cut between the tracks."""
    (sent,) = await sounds_of_sessions(sound_file(10, picture_from_s=0.5), 3.0)
    assert sent == list(range(len(sent)))


async def test_a_relay_of_sound_stops_where_it_is_asked_to():
    """To hand it over: the next visit is a place to stop at, and what was not sent is not counted as played."""
    outlet, stopped = Outlet(), []
    flow = ListFlow(outlet, lambda now: True)
    feed = FileFeed(outlet, START, lambda *step: None)
    flow.attach_feed(feed)
    feed.put(0, 0, PreparedReader(sound_file(60)))
    session, far = publishing()
    flow.attach_session(session, 0.0)
    flow.visit(0.32)
    flow.cut_at_start(lambda: stopped.append(feed.playhead.position_ms))
    flow.visit(0.64)
    assert stopped
    flow.visit(0.96)
    await all_received(session, far)
    sent = [tag[1] for tag in far.tags if tag[0] == AUDIO and tag[2][1] == 1]
    assert sent[-1] == stopped[0] - 20
    session.abort()
    far.sock.close()
    flow.detach_feed()


async def test_an_item_that_ended_as_its_list_was_handed_over_was_played_again():
    """From its last keyframe on, and its end was told by nobody: its place is its end, and that is told."""
    playing, stopped = Playing(), []
    await playing.put(MemoryFile(2, gop=25))
    playing.feed.put(0, 1, PreparedReader(MemoryFile(2)))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.3)
    playing.feed.stop_at_place(lambda: stopped.append(playing.feed.playhead))
    playing.play(0.3, 3.0)
    assert stopped == [Playhead(0, 0, 2_000)]
    assert [(step, at.item) for step, at, _ in playing.steps] == [("item_started", 0), ("item_finished", 0)]
    assert len(playing.stamps(VIDEO)) == 50


async def test_a_destination_that_asked_to_move_kept_a_list_from_being_handed_over():
    """The worker that goes on had been promised the place first; the list went on in another session here."""
    playing, stopped = Playing(), []
    await playing.put(MemoryFile(4, gop=25))
    playing.feed.begin_session(0.0)
    playing.play(0.0, 0.3)
    playing.feed.stop_at_place(lambda: stopped.append("handed over"))
    playing.feed.stop_at_place(lambda: stopped.append("moved"), goes_on=True)
    playing.play(0.3, 3.0)
    assert stopped == ["handed over"]


def test_headers_and_commands_are_no_picture(live):
    """A hung camera behind a server that repeats its header and seeks: the picture is missed all the same."""
    feed, inlet = live
    camera = Camera()
    roll(feed, inlet, camera, 100.0, 120.0)

    def repeat_headers():
        for tick in range(20 * 25):
            stamp = camera.stamp_ms
            inlet.tags = [tag for tag in camera.shoot() if tag[0] == AUDIO]
            inlet.tags += [(VIDEO, stamp, camera.video_header), (VIDEO, stamp, b"\x57\x00")]
            pull(feed, 120.0 + tick / 25)
            feed.check_liveness(120.0 + tick / 25)

    with pytest.raises(SourceStalled, match="no picture any more"):
        repeat_headers()


async def test_items_of_a_moment_were_prepared_one_at_a_time():
    """Each left a hole as long as a preparation takes: some seconds of them are put in ahead; a long one is enough."""
    playing = Playing()
    short = [MemoryFile(0.2) for _ in range(200)]
    count = 0
    while playing.feed.upcoming.has_room:
        playing.feed.put(0, count, PreparedReader(short[count]))
        count += 1
    assert AHEAD_MS * 0.8 <= sum(file.duration_ms for file in short[:count]) <= AHEAD_MS * 1.2
    playing.feed.begin_session(50.0)
    playing.play(50.0, 51.0)
    assert playing.feed.upcoming.has_room
    playing.feed.put(0, count, PreparedReader(MemoryFile(10)))
    assert not playing.feed.upcoming.has_room
    playing.feed.close()
