"""Random lists of odd files through the real store, feed and joins, on a clock that runs fast.

None freezes, none sends a frame seconds after its time or one before the last of its track, and within each pass the
distance of sound and picture is that of its own file.
"""

import os
import random
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kit.av_offset import av_offsets_ms
from kit.odd_files import film, joined, remuxed, run
from loopback.prepare.prepared import prepare
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import MediaError
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.processing import FIRST, Normalize, Processing
from streamferry.prepare.store import PreparedStore
from streamferry.push import Outlet
from streamferry.relay import Item, RelaySpec
from streamferry.relay.beat import FILE_VISIT_S
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.status import START, ItemStep, Playhead
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.joins import MAX_OVERLAP_MS

#: Walks through all pairs of files, each cut into lists that are played as they are. They are the same in each run.
WALKS = int(os.environ.get("ODD_WALKS", "1"))
LOOPS = 2
ITEMS = 6
DESTINATION = MediaUrl.parse("rtmp://127.0.0.1:1/live/key")

#: Name -> how to make it in a folder where ``ordinary.mp4`` is.
ODD: dict[str, Callable[[Path, Path], object]] = {
    "ordinary.mp4": lambda folder, path: film(path),
    "still.mp4": lambda folder, path: film(path, fps=0.5, seconds=4, sound_seconds=5),
    "slides.mp4": lambda folder, path: film(path, fps=1, seconds=4, sound_seconds=4.5),
    "late_sound.mp4": lambda folder, path: film(path, seconds=3, sound_seconds=1.5, reading=("-itsoffset", "1.2")),
    "long_sound.mp4": lambda folder, path: film(path, seconds=1, sound_seconds=2.7),
    "short_sound.mp4": lambda folder, path: film(path, seconds=3, sound_seconds=0.6),
    "mono.mp4": lambda folder, path: film(path, rate=44100, channels=1),
    "no_sound.mp4": lambda folder, path: film(path, sound_seconds=0),
    "sound_only.m4a": lambda folder, path: film(path, seconds=0, sound_seconds=1.5),
    "flicker.mp4": lambda folder, path: film(path, seconds=0.2),
    "old.avi": lambda folder, path: remuxed(folder / "ordinary.mp4", path),
    "cut.mp4": lambda folder, path: run("-ss", "0.7", "-i", folder / "ordinary.mp4", "-c", "copy", path=path),
    "twice.ts": lambda folder, path: joined(
        path,
        remuxed(folder / "ordinary.mp4", folder / "one.ts"),
        remuxed(folder / "mono.mp4", folder / "two.ts"),
    ),
    "twice.flv": lambda folder, path: joined(path, *[remuxed(folder / "ordinary.mp4", folder / "one.flv")] * 2),
}
#: Those in which flashes and beeps are seen and heard throughout.
WITH_BOTH = ("ordinary.mp4", "mono.mp4", "old.avi", "twice.flv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name, make in ODD.items():
        make(folder, folder / name)
    return folder


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[PreparedStore]:
    """What one list has prepared, the next finds in the cache."""
    async with PreparedStore(folder / "cache") as store:
        yield store


class Taking:
    """A session that takes tags, and notes how late each comes: how far it is before the latest that was sent."""

    chunks = None
    is_blocked = False
    sent_bytes = acked_bytes = 0

    def __init__(self) -> None:
        self.tags: list[LaidTag] = []
        self.late_ms = 0

    def write(self, tags: list[LaidTag]) -> int:
        for tag in tags:
            latest_ms = self.tags[-1][1] if self.tags else 0
            self.late_ms = max(self.late_ms, latest_ms - tag[1])
            self.tags.append(tag)
        return len(tags)

    def flush(self) -> bool:
        return True

    def frames(self, tag_type: int) -> list[LaidTag]:
        return [tag for tag in self.tags if tag[0] == tag_type and tag[3] <= KEYFRAME]


async def whole(prepared: PreparedList, spec: RelaySpec, item: Item) -> PreparedReader:
    reader = await prepared.open_item(spec, item, 0)
    assert reader is not None
    await reader.file.wait_complete(lambda _: None)  # type: ignore[attr-defined]
    return reader


@pytest.mark.parametrize("seed", range(6))
async def test_lists_of_odd_files_froze(folder: Path, store: PreparedStore, seed: int) -> None:
    """Files whose tracks begin or end seconds apart, of one track, of several recordings: all of it is sent in time."""
    chance = random.Random(seed)
    names = [chance.choice(sorted(ODD)) for _ in range(ITEMS)]
    await play_list(folder, store, names, normalize=Normalize.parse("first"), silence=chance.random() < 0.7)


@pytest.mark.parametrize("silence", [True, False])
async def test_lists_of_odd_files_that_are_copied_froze(folder: Path, store: PreparedStore, silence: bool) -> None:
    """What one has prepared, all others play: so these are many. Each file comes after each, and after itself."""
    copied = Normalize.parse("copy")
    for seed in range(WALKS):
        walk = all_pairs(sorted(ODD), random.Random(2 * seed + silence))
        for at in range(0, len(walk) - 1, ITEMS - 1):
            await play_list(folder, store, walk[at : at + ITEMS], normalize=copied, silence=silence)


def all_pairs(names: list[str], chance: random.Random) -> list[str]:
    """A walk in which each name follows each one once: Hierholzer's, which goes back to where a way is left."""
    left = {name: chance.sample(names, len(names)) for name in names}
    way, walk = [names[0]], list[str]()
    while way:
        if following := left[way[-1]]:
            way.append(following.pop())
        else:
            walk.append(way.pop())
    return walk[::-1]


async def play_list(folder: Path, store: PreparedStore, names: list[str], **choices: Any) -> None:
    """Play one, and raise AssertionError for what is not right."""
    spec = RelaySpec.vod([Item(MediaUrl.parse(str(folder / name))) for name in names], DESTINATION, **choices)
    prepared, outlet, session = PreparedList(store), Outlet(), Taking()
    outlet.session = session  # type: ignore[assignment]
    told: list[tuple[ItemStep, Playhead, MediaError | None]] = []
    feed = FileFeed(outlet, START, lambda *step: told.append(step))
    lengths_ms, expected, passes = 0, 0, list[tuple[str, PreparedReader]]()
    now = 100.0
    for loop in range(LOOPS):
        for number, item in enumerate(spec.items):
            try:
                reader = await whole(prepared, spec, item)
            except MediaError as error:
                if "sound only" not in str(error):
                    raise
                # A list of sound alone takes no film without it.
                continue
            passes.append((names[number], reader))
            lengths_ms += reader.file.duration_ms
            expected += 1
            reader.file.retain()
            feed.put(loop, number, reader)
    feed.finish()
    feed.begin_session(now)
    limit = now + lengths_ms / 1000 * 1.2 + 10
    while not feed.finished.is_set():
        assert now < limit, f"{names} froze at {feed.position_ms} of {lengths_ms} ms"
        now += FILE_VISIT_S
        feed.play(now)
        feed.note_arrived()
    feed.close()
    assert [step for step, _, _ in told].count(ItemStep.FINISHED) == expected, names
    assert session.late_ms <= MAX_OVERLAP_MS, names
    for tag_type in (VIDEO, AUDIO):
        stamps = [tag[1] for tag in session.frames(tag_type)]
        assert all(later > earlier for earlier, later in pairwise(stamps)), names
    sent = {tag_type: iter(session.frames(tag_type)) for tag_type in (VIDEO, AUDIO)}
    for name, reader in passes:
        # Each pass is its file, moved by one shift: so the distance of its tracks is its own.
        shifts = {next(sent[tag_type])[1] - stamp for tag_type, stamp in frames_of(reader)}
        assert len(shifts) == 1, (name, names)
        reader.file.close()
    assert [next(left, None) for left in sent.values()] == [None, None]


def frames_of(reader: PreparedReader) -> list[tuple[int, int]]:
    """Type and stamp of all frames of a reader's file."""
    reader.file.retain()
    again, tags = PreparedReader(reader.file), list[Tag]()
    start = again.offset
    again.advance(1 << 31)
    again.tags(start, tags)
    found = [(kind, stamp) for kind, stamp, body in tags if kind != SCRIPT and tag_kind(kind, body) <= KEYFRAME]
    again.close()
    return found


@pytest.mark.parametrize("name", WITH_BOTH)
def test_the_sound_of_odd_files_is_as_far_from_the_picture_as_it_was(folder: Path, tmp_path: Path, name: str) -> None:
    """Within 5 ms, of what decoders make of the file and of the prepared one."""
    processing = Processing.of_list(FIRST, form=None, silence=True, watermark=None)
    found = av_offsets_ms(prepare(folder / name, tmp_path / "entry", processing=processing).flv)
    # Of one with stamps that begin anew a decoder makes nothing.
    own = av_offsets_ms(folder / ("ordinary.mp4" if name == "twice.flv" else name))
    assert all(abs(offset - own[0]) <= 5 for offset in found), (found, own)
