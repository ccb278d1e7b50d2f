"""Running the preparation process by itself, and reading what it made."""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from kit import programs
from kit.forked import Forks
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, SIDE_DATA, VIDEO, Tag
from streamferry.net.folders import EVERYWHERE, Folders
from streamferry.prepare.cache import Entry, Summary
from streamferry.prepare.file_version import Version
from streamferry.prepare.job import Job
from streamferry.prepare.processing import COPY, Processing
from streamferry.reasons import Reason
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.rtmp.chunk_file import TagScan, read_headers

PREPARATIONS = Forks("streamferry.prepare.preparation")


@dataclass
class Outcome:
    """What a preparation process said, and where it worked."""

    entry: Entry
    messages: list[dict[str, Any]]

    @property
    def error(self) -> str:
        """Class and sentence of the failure, empty if there was none."""
        last = self.messages[-1]
        return f"{last['error']}: {Reason.from_json(last['reason'])}" if "error" in last else ""

    @property
    def summary(self) -> Summary:
        assert self.error == ""
        return Summary.from_json(self.messages[-1]["complete"])

    @property
    def frames(self) -> list[Tag]:
        """All frames of the prepared file."""
        return [tag for tag in self._tags if tag[0] in (AUDIO, VIDEO) and tag_kind(tag[0], tag[2]) <= KEYFRAME]

    @property
    def headers(self) -> list[Tag]:
        """All sequence headers and side data of the prepared file, wherever they stand, in their order."""
        kinds = (SEQUENCE_HEADER, SIDE_DATA)
        return [tag for tag in self._tags if tag[0] in (AUDIO, VIDEO) and tag_kind(tag[0], tag[2]) in kinds]

    @property
    def _tags(self) -> list[Tag]:
        data, index = memoryview(self.entry.media.read_bytes()), self.entry.read_index()
        tags = read_headers(data, index.place_offsets[0])
        scan = TagScan(index, 0)
        scan.read(data, len(data), tags)
        assert scan.offset == len(data) == self.summary.end_offset
        return tags

    @property
    def flv(self) -> Path:
        """The prepared file as FLV, for programs that read that."""
        path = self.entry.path / "media.flv"
        path.write_bytes(serialize_flv_header(True, True) + b"".join(serialize_tag(*tag) for tag in self._tags))
        return path


def prepare(
    url: Path | str,
    directory: Path,
    *,
    processing: Processing = COPY,
    ffmpeg: str | None = None,
    folders: Folders = EVERYWHERE,
) -> Outcome:
    """Run one preparation to its end."""
    directory.mkdir(exist_ok=True)
    job = Job(
        url=str(url),
        directory=str(directory),
        version=asdict(Version()),
        parent=PREPARATIONS.pid,
        processing=processing.to_json(),
        slots=str(directory.parent),
        folders=folders.to_json(),
        ffmpeg=ffmpeg or programs.ffmpeg(),
    )
    done = PREPARATIONS.run(text=json.dumps(asdict(job)) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    return Outcome(Entry(directory), [json.loads(line) for line in done.stdout.splitlines()])


def assert_well_laid(frames: list[Tag]) -> None:
    """First stamp 0, order across tracks, strictly rising on each, a keyframe first."""
    stamps = [stamp for _, stamp, _ in frames]
    assert stamps[0] == 0
    assert stamps == sorted(stamps)
    for kind in (AUDIO, VIDEO):
        track = [stamp for tag_type, stamp, _ in frames if tag_type == kind]
        assert all(later > earlier for earlier, later in pairwise(track))
    pictures = [body for tag_type, _, body in frames if tag_type == VIDEO]
    assert not pictures or tag_kind(VIDEO, pictures[0]) == KEYFRAME
