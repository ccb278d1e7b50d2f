"""TagQueue: order, what the soft and the hard limit do, what is kept without a destination."""

from itertools import pairwise

import pytest

from scripted.camera import (
    AAC_HEADER,
    AVC_HEADER,
    METADATA_BODY,
    OTHER_AVC_HEADER,
    Camera,
    laid,
    number_of,
    picture,
    sound,
)
from streamferry.media.errors import DestinationStalled
from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, SCRIPT, SEQUENCE_HEADER, START, VIDEO
from streamferry.push.queue import HARD_BYTES, HARD_MS, SOFT_BYTES, SOFT_MS, TagQueue

EVERYTHING = 1 << 62


def filled(tags):
    queue = TagQueue()
    queue.put(laid(tags))
    return queue


def numbers(tags, tag_type=VIDEO):
    return [number_of(tag) for tag in tags if tag[0] == tag_type and tag[3] <= KEYFRAME]


def test_first_in_first_out_and_whole():
    """Tags come out as they went in, whatever the size of the pieces they are taken in."""
    tags = Camera(frame_bytes=300).film(1)
    queue = filled(tags)
    taken = []
    for size in (1, 1, 700, 5000, EVERYTHING):
        taken += queue.take(size)
    assert taken == laid(tags)
    assert not queue
    assert queue.size_bytes == 0


def test_no_more_tags_are_taken_than_asked_for():
    """Of what the kernel does not take each is framed for nothing, however small it is."""
    tags = Camera(frame_bytes=300).film(1)
    queue = filled(tags)
    assert [len(queue.take(EVERYTHING, number)) for number in (1, 3)] == [1, 3]
    assert queue.take(EVERYTHING) == laid(tags)[4:]
    assert queue.size_bytes == 0


def test_what_was_not_sent_goes_back_to_the_front():
    """Put back, the unsent rest of a batch comes next."""
    tags = Camera().film(1)
    queue = filled(tags)
    batch = queue.take(1000)
    queue.put_back(batch, 2)
    assert batch[:2] + queue.take(EVERYTHING) == laid(tags)
    assert queue.size_bytes == 0


def test_bodies_are_copied_on_the_way_in():
    """The beat's buffer is reused at the next visit."""
    scratch = bytearray(picture(1, is_key=True))
    queue = TagQueue()
    queue.put([(VIDEO, 0, memoryview(scratch), KEYFRAME)])
    scratch[:] = bytes(len(scratch))
    assert queue.take(1)[0][2] == picture(1, is_key=True)


def test_below_the_soft_limit_nothing_is_dropped():
    """A keyframe alone is no reason to drop."""
    queue = filled(Camera().film(SOFT_MS / 1000))
    assert queue.dropped_tags == 0
    assert numbers(queue.take(EVERYTHING)) == list(range(50))


def test_at_the_soft_limit_in_time_the_next_keyframe_replaces_what_waits():
    """Beyond 2 s of waiting media nothing goes until a keyframe comes; then all frames before it go, counted."""
    camera = Camera(gop=60)
    queue = filled(camera.film(2.36))
    assert queue.dropped_tags == 0
    queue.put(laid(camera.film(0.08)))
    rest = queue.take(EVERYTHING)
    assert numbers(rest) == [60]
    assert rest[0][3] == START
    assert queue.dropped_tags == 60 * 3


def test_at_the_soft_limit_in_bytes_too():
    """4 MiB waiting are as much as 2 s."""
    camera = Camera(gop=10, frame_bytes=SOFT_BYTES // 10)
    queue = filled(camera.film(0.4))
    queue.put(laid(camera.shoot()))
    assert numbers(queue.take(EVERYTHING)) == [10]
    assert queue.dropped_tags == 30


def test_what_stays_is_a_stream_from_a_keyframe():
    """However long it goes on, what is left decodes and is the latest."""
    camera = Camera(gop=25)
    queue = TagQueue()
    for _ in range(30):
        queue.put(laid(camera.film(0.5)))
        assert queue.span_ms < SOFT_MS + 1000
    rest = queue.take(EVERYTHING)
    assert rest[0][3] == START
    assert all(b == a + 1 for a, b in pairwise(numbers(rest)))
    assert numbers(rest)[-1] == camera.pictures - 1


def test_headers_and_metadata_survive_a_drop():
    """A destination that never got its headers, or got new ones meanwhile, needs them for what follows the drop."""
    camera = Camera(gop=60)
    queue = filled(camera.headers() + camera.film(2.4))
    queue.put(laid(camera.change_header(OTHER_AVC_HEADER) + camera.shoot()))
    rest = queue.take(EVERYTHING)
    assert [(tag[0], tag[2]) for tag in rest[:4]] == [
        (SCRIPT, METADATA_BODY),
        (VIDEO, AVC_HEADER),
        (AUDIO, AAC_HEADER),
        (VIDEO, OTHER_AVC_HEADER),
    ]
    assert [tag[3] for tag in rest[:5]] == [METADATA, SEQUENCE_HEADER, SEQUENCE_HEADER, SEQUENCE_HEADER, START]
    assert queue.dropped_tags == 180


def test_headers_that_survived_a_drop_do_not_make_the_queue_look_longer():
    """The limits measure media that waits: a header kept from long ago is none."""
    camera = Camera(gop=25)
    queue = filled(camera.headers() + camera.film(3.0))
    queue.put(laid(camera.shoot()))
    dropped = queue.dropped_tags
    assert dropped
    queue.put(laid(camera.film(1.6)))
    assert queue.dropped_tags == dropped
    assert queue.span_ms == 1620


def test_the_hard_limit_in_time_gives_the_destination_up():
    """20 s without a keyframe to skip to: whoever waits for one waits too long."""
    camera = Camera(gop=10_000)
    queue = filled(camera.film(HARD_MS / 1000))
    with pytest.raises(DestinationStalled, match="no keyframe came"):
        queue.put(laid(camera.film(0.08)))


def test_the_hard_limit_in_bytes_gives_the_destination_up():
    """So do 32 MiB."""
    camera = Camera(gop=10_000, frame_bytes=HARD_BYTES // 8)
    queue = filled(camera.film(0.28))
    with pytest.raises(DestinationStalled):
        queue.put(laid(camera.film(0.08)))


def test_sound_alone_drops_at_any_sound():
    """Without pictures every sound is a place to start."""
    tags = [(AUDIO, 0, AAC_HEADER)] + [(AUDIO, 20 * n, sound(n)) for n in range(200)]
    queue = filled(tags)
    rest = queue.take(EVERYTHING)
    assert rest[0][2] == AAC_HEADER
    kept = numbers(rest, AUDIO)
    assert kept[-1] == 199
    assert queue.dropped_tags == 200 - len(kept)
    assert 20 * len(kept) <= SOFT_MS + 20


def test_sound_is_no_place_to_start_beside_pictures():
    """With a picture track known, sound does not end the wait for a keyframe."""
    queue = TagQueue()
    assert queue.skip_to_start(laid([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, sound(1)), (VIDEO, 0, picture(1))])) == laid(
        [(VIDEO, 0, AVC_HEADER)]
    )
    assert queue.needs_start
    wanted = laid([(VIDEO, 40, picture(2, is_key=True)), (AUDIO, 40, sound(3))])
    assert queue.skip_to_start(wanted) == wanted
    assert not queue.needs_start


def test_without_a_destination_the_latest_group_is_kept():
    """So that a session starts at once, with a picture not older than its group; nothing of it counts as dropped."""
    camera = Camera(gop=25)
    queue = TagQueue()
    queue.keep_latest_group(laid(camera.headers()))
    for _ in range(11):
        queue.keep_latest_group(laid(camera.film(0.24)))
    rest = queue.take(EVERYTHING)
    assert numbers(rest) == list(range(50, 66))
    assert rest[0][3] == START
    assert queue.dropped_tags == 0


def test_without_a_destination_a_group_without_end_is_not_kept():
    """A group beyond the hard limit is let go of as a whole; the next keyframe begins another."""
    camera = Camera(gop=10_000)
    queue = TagQueue()
    queue.keep_latest_group(laid(camera.film(HARD_MS / 1000 + 1)))
    assert not queue
    queue.keep_latest_group(laid(camera.shoot()))
    assert not queue
    camera.start_over()
    queue.keep_latest_group(laid(camera.shoot()))
    assert numbers(queue.take(EVERYTHING)) == [camera.pictures - 1]
