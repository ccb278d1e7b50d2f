"""Whatever happens to a list on air, at whatever time of its streams: the same media, in order, its tracks in step.

Loops, unlike files, offsets, lost sessions, sessions that take the place of others, edits that keep what plays or make
it give way, and another worker that goes on: drawn at random, on a clock of numbers, over real TCP with small buffers,
read back by our chunk reader and by a careless one.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.waiting import PATIENCE_S
from scripted.camera import AAC_HEADER, AVC_HEADER, number_of, picture, sound
from scripted.careless_reader import CarelessReader
from scripted.memory_file import MemoryFile
from scripted.publishing import FarEnd, publishing
from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.push import Outlet
from streamferry.relay import Item, Playhead
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.joins import MAX_OVERLAP_MS
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE

#: The first stamp of a session: in the seconds in which stamps get an extension, another sign, and begin anew.
FIRST_STAMPS = st.builds(
    lambda mark, before_ms: max(0, mark - before_ms),
    st.sampled_from((0, 1 << 24, 1 << 31, 1 << 32)),
    st.sampled_from((0, 1, 35, 120, 300, 900, 2_500, 5_000)),
)


@dataclass(frozen=True)
class Shape:
    """A file: its pictures, the distance of its keyframes, and where its sound lies beside them."""

    pictures: int
    gop: int
    #: When the sound begins, less when the picture does; and when it ends, in the same way.
    sound_begins_ms: int
    sound_ends_ms: int
    has_sound: bool
    key_bytes: int

    @property
    def length_ms(self) -> int:
        """Of the picture."""
        return 40 * self.pictures


SHAPES = st.builds(
    Shape,
    st.integers(12, 70),
    st.sampled_from((5, 12, 25)),
    st.sampled_from((-46, 0, 0, 33, 80)),
    st.sampled_from((-350, -46, 0, 0, 60)),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((60, 3_000, 20_000, 70_000)),
)


def film(shape: Shape, number: int) -> MemoryFile:
    """The file; all its frames tell its number and their own."""
    first_picture_ms = max(0, -shape.sound_begins_ms) if shape.has_sound else 0
    tags: list[Tag] = []
    for n in range(shape.pictures):
        is_key = n % shape.gop == 0
        body = picture(number << 16 | n, shape.key_bytes if is_key else 400, is_key=is_key)
        tags.append((VIDEO, first_picture_ms + 40 * n, body))
    if shape.has_sound:
        begin_ms = first_picture_ms + shape.sound_begins_ms
        end_ms = first_picture_ms + shape.length_ms + shape.sound_ends_ms
        tags += [(AUDIO, ms, sound(number << 16 | n)) for n, ms in enumerate(range(begin_ms, end_ms, 23))]
    # A container has no tag before the first frame that is stamped 0.
    first_ms = min(tag[1] for tag in tags)
    tags = [(tag_type, ms - first_ms, body) for tag_type, ms, body in tags]
    tags.sort(key=lambda tag: (tag[1], tag[0]))
    headers: list[Tag] = [(VIDEO, 0, AVC_HEADER), *([(AUDIO, 0, AAC_HEADER)] if shape.has_sound else [])]
    ends_ms = (tag[1] + (40 if tag[0] == VIDEO else 23) for tag in tags)
    return MemoryFile(headers=headers, tags=tags, duration_ms=max(ends_ms))


@dataclass
class Pass:
    """A file that was given to a feed, and the part of it that was asked for."""

    number: int
    item: Item
    file: MemoryFile
    first: dict[int, int]
    last: dict[int, int]
    #: Whether it may end at any keyframe: it gave way, or another worker went on from there.
    may_end_early: bool = False
    #: Whether it was taken away again before all of it was sent, or any.
    is_dropped: bool = False


@dataclass
class Sent:
    """What arrived in one session."""

    tags: list[Tag]
    worker: int


@dataclass
class Broadcast:
    """A list on air, as its keeper and its worker run it; ``do`` is what happens to it next."""

    shapes: list[Shape]
    buffer_bytes: int
    #: Whether somebody looks at what is sent.
    is_watched: bool
    now: float = 0.0
    worker: int = 0
    passes: list[Pass] = field(default_factory=list)
    #: Frames of the present session, as a preview gets them.
    shown: list[LaidTag] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    #: Numbers of passes of which the second goes on where the first one ended.
    handed: list[tuple[int, int]] = field(default_factory=list)
    #: Numbers of sessions of which the next one takes the place.
    moved: list[int] = field(default_factory=list)

    def begin(self, at: Playhead, items: list[Item], first_stamp_ms: int) -> None:
        """A worker begins with the list."""
        self.items = items
        self.outlet = Outlet()
        if self.is_watched:
            self.outlet.tap = self.show
        self.flow = ListFlow(self.outlet, lambda now: True)
        self.feed = FileFeed(self.outlet, at, lambda *step: None)
        self.flow.attach_feed(self.feed)
        self.next = self.playheads(at)
        self.gives = True
        self.fill()
        self.connect(first_stamp_ms)

    def show(self, tags: list[LaidTag]) -> None:
        """Keep what a preview gets."""
        self.shown += [(tag[0], tag[1], bytes(tag[2]), tag[3]) for tag in tags if tag[3] <= KEYFRAME]

    def playheads(self, at: Playhead) -> Iterator[Playhead]:
        """What is played from there on."""
        yield at
        loop, item = at.loop, at.item + 1
        while True:
            if item >= len(self.items):
                loop, item = loop + 1, 0
            yield Playhead(loop, item)
            item += 1

    def fill(self) -> None:
        """Give the feed the next file, if it has room for one."""
        while self.gives and self.feed.upcoming.has_room:
            at = next(self.next)
            item = self.items[at.item]
            number = len(self.passes) + 1
            file = film(self.shapes[int(item.url.path[1:])], number)
            start_ms = max(at.position_ms, round(item.start_s * 1000))
            end_ms = round(item.end_s * 1000) or None
            if start_ms >= min(end_ms or file.duration_ms, file.duration_ms):
                continue
            reader = PreparedReader(file, start_ms, end_ms)
            start_offset, last_ms = reader.offset, reader._last_ms
            first, last = {}, {}
            wanted = [tag for tag, end in zip(file.tags, file.message_ends[1:], strict=True) if end > start_offset]
            for tag_type in (VIDEO, AUDIO):
                numbers = [number_of(tag) & 0xFFFF for tag in wanted if tag[0] == tag_type and tag[1] <= last_ms]
                if numbers:
                    first[tag_type], last[tag_type] = numbers[0], numbers[-1]
            self.passes.append(Pass(number, item, file, first, last))
            self.feed.put(at.loop, at.item, reader)

    def connect(self, first_stamp_ms: int) -> None:
        """A publish session begins, in which the next media has about that stamp; 0: as any session."""
        self.session, self.far = publishing(self.buffer_bytes)
        if first_stamp_ms:
            self.session.begin_at(self.feed._joins.position_ms - MAX_OVERLAP_MS - first_stamp_ms)
        self.flow.attach_session(self.session, self.now)

    async def visit(self, read_bytes: int = 1 << 20) -> None:
        """A beat; then the destination reads so much."""
        self.now += 0.32
        self.flow.visit(self.now)
        self.fill()
        self.far.receive(read_bytes)
        await asyncio.sleep(0)

    async def wait(self, seconds: float, read_bytes: int = 1 << 20) -> None:
        """Time passes."""
        end = self.now + seconds
        while self.now < end:
            await self.visit(read_bytes)

    def read_back(self) -> None:
        """The session is over: what its destination has."""
        while self.far.receive():
            pass
        self.session.abort()
        self.far.sock.close()
        assert_careless_servers_can_follow(self.far)
        frames = [tag for tag in self.far.tags if tag_kind(tag[0], tag[2]) <= KEYFRAME]
        if self.is_watched:
            # What is shown was sent, and is on the output clock; of a session that was lost not all has arrived.
            pairs = list(zip(frames, self.shown, strict=False))
            assert len(pairs) == len(frames)
            assert all((got[0], got[2]) == (seen[0], seen[2]) for got, seen in pairs)
            assert len({to_wire_ms(seen[1] - got[1]) for got, seen in pairs}) <= 1
        self.shown = []
        self.sent.append(Sent(frames, self.worker))

    async def reset(self, first_stamp_ms: int) -> None:
        """The destination goes in the midst of it, and is there again."""
        self.flow.detach_session()
        self.read_back()
        self.now += 1.0
        self.connect(first_stamp_ms)

    async def move(self, away_s: float, first_stamp_ms: int) -> None:
        """Another session goes on at the next place: one that is open already, or some time later."""
        waiting = asyncio.create_task(self.flow.wait_for_start())
        async with asyncio.timeout(PATIENCE_S):
            while not waiting.done():
                await self.visit()
            await waiting
            while self.session.is_blocked or not self.far_has_all():
                self.session.flush()
                self.far.receive()
                await asyncio.sleep(0)
        self.moved.append(len(self.sent))
        self.read_back()
        self.now += away_s
        self.connect(first_stamp_ms)

    async def edit(self, items: list[Item]) -> None:
        """Another list follows, at once."""
        before, self.items = self.items, items
        at = self.feed.playhead or START
        self.drop_upcoming()
        self.feed.follow(before, items)
        kept = self.feed.playhead
        for one in self.passes:
            one.may_end_early = one.may_end_early or one.item not in items
        self.next = self.playheads(Playhead(at.loop + 1) if kept is None else kept)
        if kept is not None:
            next(self.next)
        self.fill()

    async def hand_over(self, first_stamp_ms: int) -> None:
        """The worker leaves at the next place; another one begins where it stopped."""
        cut: list[bool] = []
        self.feed.stop_at_place(lambda: cut.append(True))
        async with asyncio.timeout(PATIENCE_S):
            while not cut:
                await self.visit()
            at = self.feed.playhead
            while self.outlet.is_backed_up or self.session.acked_bytes < self.session.sent_bytes:
                self.session.flush()
                self.far.receive()
                await asyncio.sleep(0)
        self.flow.detach_session()
        self.read_back()
        playing = self.feed.current
        assert playing is not None
        cut_pass = self.pass_of(playing.reader.file)
        cut_pass.may_end_early = cut_pass.may_end_early or playing.reader.is_cut
        self.drop_upcoming()
        self.flow.detach_feed()
        self.worker += 1
        if at is None:
            # What played is not in the list any more: the next one begins with what follows.
            at = next(self.next)
        elif playing.reader.is_cut:
            self.handed.append((cut_pass.number, len(self.passes) + 1))
        self.begin(at, self.items, first_stamp_ms)

    def drop_upcoming(self) -> None:
        """What has not begun, or has to be sent again, is not played."""
        for entry in self.feed.upcoming:
            self.pass_of(entry.reader.file).is_dropped = True
        self.feed.drop_upcoming()

    def pass_of(self, file: object) -> Pass:
        """In which a file was given."""
        return next(one for one in self.passes if one.file is file)

    async def finish(self) -> None:
        """Play what has been given to its end."""
        self.gives = False
        self.feed.finish()
        async with asyncio.timeout(PATIENCE_S):
            while not self.feed.finished.is_set() or self.outlet.is_backed_up or not self.far_has_all():
                await self.visit()
        self.flow.detach_session()
        self.read_back()
        self.flow.detach_feed()
        assert self.outlet.dropped_tags == 0

    def far_has_all(self) -> bool:
        """Whether all that was sent has arrived."""
        return self.session.acked_bytes == self.session.sent_bytes


def assert_careless_servers_can_follow(far: FarEnd) -> None:
    """No delta leads beyond 2^32 ms."""
    CarelessReader(CHUNK_SIZE).feed(bytes(far.raw))


ITEMS = st.lists(
    st.builds(
        lambda number, start_s, length_s: Item(
            MediaUrl.parse(f"http://films.example/{number}"), start_s, length_s and start_s + length_s
        ),
        st.integers(0, 2),
        st.sampled_from((0.0, 0.0, 0.0, 0.3)),
        st.sampled_from((0.0, 0.0, 0.0, 0.33, 0.4)),
    ),
    min_size=1,
    max_size=3,
    unique=True,
)
SECONDS = st.sampled_from((0.3, 0.7, 1.6, 3.0))
READS = st.sampled_from((0, 2_000, 60_000, 1 << 20, 1 << 20))
STEPS = st.one_of(
    st.tuples(st.just("wait"), SECONDS, READS),
    st.tuples(st.just("reset"), FIRST_STAMPS),
    st.tuples(st.just("move"), st.sampled_from((0.0, 0.0, 0.2, 2.0, 5.0)), FIRST_STAMPS),
    st.tuples(st.just("edit"), ITEMS),
    st.tuples(st.just("hand_over"), FIRST_STAMPS),
)


async def broadcast(
    shapes: list[Shape],
    items: list[Item],
    first_stamp_ms: int,
    steps: list[tuple],
    buffer_bytes: int,
    is_watched: bool,
) -> Broadcast:
    """A list on air, with all that happens to it."""
    running = Broadcast(shapes, buffer_bytes, is_watched)
    running.begin(START, items, first_stamp_ms)
    try:
        for name, *arguments in steps:
            await getattr(running, name)(*arguments)
            await running.wait(0.3)
        await running.finish()
    finally:
        running.session.abort()
        running.far.sock.close()
    return running


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(SHAPES, min_size=3, max_size=3),
    items=ITEMS,
    first_stamp_ms=FIRST_STAMPS,
    steps=st.lists(STEPS, max_size=6),
    buffer_bytes=st.sampled_from((64 << 10, 256 << 10)),
    is_watched=st.booleans(),
)
def test_a_list_arrives_whatever_happens_to_it(
    shapes: list[Shape],
    items: list[Item],
    first_stamp_ms: int,
    steps: list[tuple],
    buffer_bytes: int,
    is_watched: bool,
) -> None:
    """Each frame of what was played, in order; stamps rise; within a file sound and picture keep their distance."""
    running = asyncio.run(broadcast(shapes, items, first_stamp_ms, steps, buffer_bytes, is_watched))
    for one in running.sent:
        assert_in_step(one.tags, running.passes)
    assert_all_arrived(running)
    assert_nothing_came_twice(running)


def on_air(shape: Shape, end_s: float, steps: list[tuple]) -> Broadcast:
    """A list of one file without end."""
    items = [Item(MediaUrl.parse("http://films.example/0"), 0, end_s)]
    running = asyncio.run(broadcast([shape], items, 0, steps, 256 << 10, is_watched=False))
    assert_all_arrived(running)
    assert_nothing_came_twice(running)
    return running


@pytest.mark.parametrize("wait_s", [0.3, 0.7])
def test_a_move_at_the_end_of_an_item_that_ends_at_a_keyframe_ended_the_run(wait_s: float) -> None:
    """Nothing was left of the item, and that could not be opened."""
    steps = [step for _ in range(8) for step in (("wait", wait_s, 1 << 20), ("move", 0.0, 0))]
    running = on_air(Shape(25, 5, 0, 0, True, 60), 0.4, steps)
    assert len(running.sent) == 9


def test_sound_before_the_first_picture_came_twice_after_a_move() -> None:
    """The first keyframe of a file has the position of the sound before it; that belonged to the first session."""
    reader = PreparedReader(film(Shape(12, 12, -46, 0, True, 60), 1))
    begin = reader.offset
    for until_ms in range(46):
        reader.advance(until_ms)
    assert reader.offset > begin
    reader.advance(400, ends_at_place=True)
    assert reader.is_cut
    rest = reader.reopen_where_cut()
    assert rest.offset == reader.offset
    assert rest.start_dts_ms == 46


def frame_of(file: MemoryFile, tag_type: int, number: int) -> Tag:
    """The frame of a file that tells that number."""
    return next(tag for tag in file.tags if tag[0] == tag_type and number_of(tag) == number)


def assert_in_step(tags: list[Tag], passes: list[Pass]) -> None:
    """In one session: DTS rise strictly, files follow each other, and each has one shift for both of its tracks."""
    by_number = {one.number: one for one in passes}
    for tag_type in (VIDEO, AUDIO):
        frames = [tag for tag in tags if tag[0] == tag_type]
        assert all(signed_delta_ms(later[1], earlier[1]) > 0 for earlier, later in pairwise(frames))
        numbers = [number_of(tag) for tag in frames]
        for earlier, later in pairwise(numbers):
            assert later == earlier + 1 or later >> 16 > earlier >> 16
            ended = by_number[earlier >> 16]
            if tag_type == VIDEO and later >> 16 > earlier >> 16 and earlier & 0xFFFF < ended.last[VIDEO]:
                # It gave way: where its next picture would have been a keyframe.
                assert tag_kind(VIDEO, frame_of(ended.file, VIDEO, earlier + 1)[2]) == KEYFRAME
    shifts: dict[int, set[int]] = {}
    for tag_type, stamp_ms, body in tags:
        number = number_of((tag_type, stamp_ms, body))
        file = by_number[number >> 16].file
        wanted = frame_of(file, tag_type, number)
        assert bytes(wanted[2]) == body
        shifts.setdefault(number >> 16, set()).add(to_wire_ms(stamp_ms - wanted[1]))
    assert all(len(one) == 1 for one in shifts.values()), "sound and picture moved apart"
    # From one file to the next nobody waits.
    order = sorted(tags, key=lambda tag: signed_delta_ms(tag[1], tags[0][1]))
    assert all(signed_delta_ms(later[1], earlier[1]) <= 600 for earlier, later in pairwise(order))


def assert_nothing_came_twice(running: Broadcast) -> None:
    """A session that takes the place of another goes on where that ended, and begins with a keyframe."""
    for number in running.moved:
        before, after = running.sent[number].tags, running.sent[number + 1].tags
        for tag_type in (VIDEO, AUDIO):
            seen = [number_of(tag) for tag in before if tag[0] == tag_type]
            assert not seen or all(number_of(tag) > seen[-1] for tag in after if tag[0] == tag_type)
        pictures = [tag for tag in after if tag[0] == VIDEO]
        assert not pictures or tag_kind(VIDEO, pictures[0][2]) == KEYFRAME


def assert_all_arrived(running: Broadcast) -> None:
    """Over all sessions: of each pass all that was asked for; of one that was cut all up to there."""
    arrived: dict[tuple[int, int], set[int]] = {}
    for one in running.sent:
        for tag in one.tags:
            number = number_of(tag)
            arrived.setdefault((number >> 16, tag[0]), set()).add(number & 0xFFFF)
    for one in running.passes:
        if one.is_dropped:
            continue
        for tag_type, first in one.first.items():
            # A new session at the first picture begins with the sound before it, whether that was asked for or not.
            seen = {number for number in arrived.get((one.number, tag_type), ()) if number >= first}
            wanted = set(range(first, one.last[tag_type] + 1))
            if not one.may_end_early:
                assert seen == wanted, f"track {tag_type} of pass {one.number}"
                continue
            assert seen == set(range(first, first + len(seen)))
            assert seen <= wanted
    assert_handed_over(running, arrived)


def assert_handed_over(running: Broadcast, arrived: dict[tuple[int, int], set[int]]) -> None:
    """The next worker goes on with the very next picture."""
    for before, after in running.handed:
        pictures = arrived.get((before, VIDEO), set())
        first = running.passes[after - 1].first[VIDEO]
        assert first == (max(pictures) + 1 if pictures else 0)
