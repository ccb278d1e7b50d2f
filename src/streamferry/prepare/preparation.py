"""The preparation process: ``python -m streamferry.prepare.preparation``, one address per process.

    standard input   one JSON object, see ``job``       (never in the arguments: other users can read those)
    standard output  JSON lines, see ``journal``

    file on the disk ─> descriptor ────────────────┐
    http: fetch ─> source.part ─> (pipe, or whole) ├─> ffmpeg ─> FLV ─> layout ─> media.rtmp.part ─> commit
    HLS: read ─> parts ─> feeder ──────────────────┘

It begins with ``-c copy``. ffmpeg describes its input before it writes; if the plan for that input is a different one,
ffmpeg is stopped and restarted with the plan. So files that can be copied, nearly all of them, lose no time.

It is a separate process with low priority, because its work would hold the interpreter lock of the relays' beat. It
ends with its parent. Threads: main runs ffmpeg and writes; one downloads; one feeds ffmpeg.
"""

import contextlib
import json
import os
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path

from streamferry.media.errors import MediaError, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk, is_full
from streamferry.net.folders import Folders
from streamferry.net.process import die_with_parent, hide
from streamferry.prepare import journal
from streamferry.prepare.blocking_ffmpeg import BlockingFfmpeg
from streamferry.prepare.cache import UNKEPT, Entry, Summary
from streamferry.prepare.container import Container
from streamferry.prepare.errors import CacheError, PreparationRestarted, ReadWhole
from streamferry.prepare.file_version import Version
from streamferry.prepare.form import Form
from streamferry.prepare.home import Home
from streamferry.prepare.input_description import InputDescription
from streamferry.prepare.intake import Input, Intake
from streamferry.prepare.job import Job
from streamferry.prepare.layout import BadInterleave, CannotCopy
from streamferry.prepare.plan import COPY_OUTPUT, Plan, decide_plan
from streamferry.prepare.processing import Processing
from streamferry.prepare.remux import Remux
from streamferry.prepare.room import Room
from streamferry.prepare.route import Route
from streamferry.prepare.sharing import Sharing
from streamferry.prepare.slots import EncodeSlot
from streamferry.prepare.window import Window
from streamferry.reasons import Code, Reason, system_reason

_NICENESS = 10
# In addition, for an encode: the lowest priority.
_ENCODE_NICENESS = 9
# Part of an announced length that is taken for all: lengths are rounded, a start may have to be cut.
_ENOUGH = 0.9
_TELLS_LENGTH = frozenset((Container.FLV, Container.MATROSKA, Container.MP4, Container.MP4_MOOV_LAST, Container.HLS))
# Codecs every ffmpeg can put into FLV: when it refused a file, the others are what it refused.
_ALWAYS_CARRIED = frozenset(("h264", "aac", "mp3", "none"))


class Preparation:
    """One address into one entry of the cache."""

    def __init__(self, job: Job) -> None:
        self._entry = Entry(Path(job.directory))
        self._program = job.ffmpeg
        self._route = Route(**job.route)
        self._window = Window(job.ahead_bytes, job.start_ms) if job.ahead_bytes else None
        root, url = Path(job.slots), MediaUrl.parse(job.url)
        keeps = self._entry.path.parent.name != UNKEPT
        self._room = Room(root, Disk(root, job.reserve_bytes), url.redacted, keeps=keeps)
        self._intake = Intake(
            url,
            self._entry,
            Version(**job.version),
            job.ffmpeg,
            self._route,
            folders=Folders.from_json(job.folders),
            room=self._room,
            ahead_bytes=self._window.download_bytes if self._window else None,
            reads_whole=job.reads_whole,
        )
        self._processing = Processing.from_json(job.processing)
        self._slots = root
        self._sharing = (
            Sharing(Home.from_json(job.home), self._entry, self._room, self._route.authorities) if job.home else None
        )
        self._is_nice = False
        #: Names the tracks that could not be copied to their end.
        self._encode_marker = self._entry.path / "encode"

    def run(self) -> None:
        """Prepare, unless another process does or did. Raises MediaError, and OSError for the disk."""
        if self._window is not None:
            threading.Thread(target=self._window.listen, args=(sys.stdin,), name="player", daemon=True).start()
        journal.follow(self._entry)
        summary = self._entry.read_summary()
        if summary is not None:
            journal.send({"complete": summary.to_json()})
            return
        self._entry.begin()
        with journal.Journal(self._entry) as out:
            if self._sharing is None:
                journal.send({"complete": self._prepare(out).to_json()})
                return
            try:
                summary = self._sharing.take(out) or self._prepare(out)
                journal.send({"complete": summary.to_json()})
                self._sharing.finish(summary)
            finally:
                self._sharing.close()

    def _prepare(self, out: journal.Journal) -> Summary:
        source = self._intake.open(lambda: out.send(self._intake.progress()))
        with contextlib.ExitStack() as stack:
            remux = stack.enter_context(
                Remux(
                    self._entry,
                    out,
                    self._intake.progress,
                    drop_late=not source.could_be_whole,
                    room=self._room,
                    window=self._window,
                )
            )
            claimed_s, ended_early = 0.0, False
            # Of what has no head the length is an estimate by ffmpeg: it is nobody's word.
            is_word = source.container in _TELLS_LENGTH
            stretch: Input | None = source
            while stretch is not None:
                seconds, is_broken = self._lay(stretch, remux, out)
                claimed_s, ended_early = claimed_s + (seconds or 0.0), ended_early or is_broken
                is_word = is_word and seconds is not None
                stretch = self._intake.next(stretch)
            layout = remux.finish()
            fetch = self._intake.fetch
            claimed_ms = round(1000 * (source.announced_seconds or claimed_s))
            too_short = is_word and layout.duration_ms < claimed_ms * _ENOUGH
            summary = Summary(
                end_offset=layout.end_offset,
                duration_ms=layout.duration_ms,
                claimed_ms=claimed_ms if is_word else 0,
                ended_early=ended_early or too_short or (fetch is not None and fetch.cut_short),
                dropped_tags=layout.dropped_tags,
                ends=layout.ends,
                changes_headers=layout.changes_headers,
                form=remux.form,
            )
            self._entry.commit(summary, layout.index)
            return summary

    def _lay(self, source: Input, remux: Remux, out: journal.Journal) -> tuple[float | None, bool]:
        """One stretch: how long it says that what is played of it is, None if it does not, and whether it broke off.

        One that is no media is left out.
        """
        if not remux.has_begun:
            return self._lay_stretch(source, remux, out)
        if self._processing.strict and self._processing.form is None and remux.form.video is not None:
            self._processing = replace(self._processing, form=remux.form)
        try:
            return self._lay_stretch(source, remux, out)
        except SourceUnsupported:
            return 0.0, True

    def _lay_stretch(self, source: Input, remux: Remux, out: journal.Journal) -> tuple[float | None, bool]:
        """The same. What cannot be copied is encoded."""
        with self._intake.start(source, COPY_OUTPUT) as ffmpeg:
            inside = ffmpeg.describe()
            inside = replace(inside, encodes=self._encodes(source))
            with self._intake.naming_the_source():
                plan = self._decide(inside)
            if not remux.has_begun:
                out.send({"claimed_ms": round(inside.claimed_seconds * 1000)})
            if plan.output == COPY_OUTPUT:
                try:
                    return _length_of_played(inside, plan), self._copy(source, ffmpeg, inside, plan, remux)
                except CannotCopy as refusal:
                    inside = self._without_copy(inside, plan, remux, refusal)
        while True:
            with self._intake.naming_the_source():
                plan = self._decide(inside)
            try:
                with contextlib.ExitStack() as stack:
                    if plan.encodes_video:
                        slot = stack.enter_context(EncodeSlot(self._slots, lambda: out.send(self._intake.progress())))
                        if self._window is not None:
                            self._window.slot = slot
                        self._be_nice()
                    ffmpeg = self._intake.start(
                        source,
                        (*plan.inputs, *plan.output),
                        plan.reading,
                        reads=(str(self._entry.watermark),) if plan.inputs else (),
                        encodes=plan.encodes_video,
                    )
                    stack.enter_context(ffmpeg)
                    return _length_of_played(inside, plan), self._copy(source, ffmpeg, inside, plan, remux)
            except CannotCopy as refusal:
                inside = self._without_copy(inside, plan, remux, refusal)

    def _copy(self, source: Input, ffmpeg: BlockingFfmpeg, inside: InputDescription, plan: Plan, remux: Remux) -> bool:
        """Lay what one ffmpeg writes; gives whether it broke off. Raises CannotCopy."""
        if not inside.codecs:
            ffmpeg.wait()
            self._intake.raise_failure()
            words = ffmpeg.complaint or Reason.of(Code.FILE_IS_EMPTY)
            raise SourceUnsupported(Code.FILE_NOT_MEDIA, url=self._intake.url.redacted, words=words)
        try:
            remux.run(ffmpeg, plan.form, plan.silence, lambda: self._intake.note_final(ffmpeg))
        except BadInterleave:
            self._intake.whole_marker.touch()
            name = self._intake.url.redacted
            raise ReadWhole(Code.FILE_READ_WHOLE, url=name) from None
        status = ffmpeg.wait()
        self._intake.raise_failure()
        if status and (ffmpeg.refused_packets or not remux.is_open):
            raise CannotCopy(self._refusal(ffmpeg, inside, plan), plan.copies)
        remux.finish_stretch()
        return ffmpeg.cut_short or status != 0

    def _without_copy(
        self, inside: InputDescription, plan: Plan, remux: Remux, refusal: CannotCopy
    ) -> InputDescription:
        """What is inside, to be prepared without the copy that failed. Raises SourceUnsupported if there was none."""
        tracks = refusal.tracks & plan.copies
        if not tracks:
            with self._intake.naming_the_source():
                raise SourceUnsupported(refusal.why)
        if remux.is_open:
            # Players have it: the next preparation does it from the start.
            self._encode_marker.write_text(" ".join(inside.encodes | tracks))
            raise PreparationRestarted(Code.FILE_NOT_COPIED, url=self._intake.url.redacted)
        return replace(inside, encodes=inside.encodes | tracks)

    def _encodes(self, source: Input) -> frozenset[str]:
        """The tracks that no copy will do for."""
        found = frozenset(source.inspection.hidden_s)
        if self._processing.strict:
            found |= source.inspection.varies
        with contextlib.suppress(FileNotFoundError):
            found |= frozenset(self._encode_marker.read_text().split())
        return found

    def _be_nice(self) -> None:
        if not self._is_nice:
            os.nice(_ENCODE_NICENESS)
        self._is_nice = True

    def _decide(self, inside: InputDescription) -> Plan:
        if inside.video is None and inside.audio is None:
            return Plan((), COPY_OUTPUT, Form())
        if self._processing.watermark is not None:
            self._entry.watermark.write_bytes(self._processing.watermark.picture)
        return decide_plan(inside, self._processing, str(self._entry.watermark))

    def _refusal(self, ffmpeg: BlockingFfmpeg, inside: InputDescription, plan: Plan) -> Reason:
        """Why ffmpeg wrote nothing, or stopped."""
        if not plan.copies and not ffmpeg.refused_packets:
            return Reason.of(Code.FILE_NOT_DECODED, words=ffmpeg.complaint)
        refused = [codec for codec in inside.codecs if codec not in _ALWAYS_CARRIED] or inside.codecs
        return Reason.of(Code.FILE_NOT_CARRIED, codecs=tuple(refused))


def _length_of_played(inside: InputDescription, plan: Plan) -> float | None:
    """How long a file says that what is played of it is. It tells the length of its longest track, played or not."""
    is_all_played = plan.form.video is not None or inside.video is None
    return inside.claimed_seconds if inside.is_all and is_all_played else None


def main() -> None:
    """Run one preparation; the last line on standard output says how it ended."""
    die_with_parent()
    hide()
    os.nice(_NICENESS)
    job = Job(**json.loads(sys.stdin.readline()))
    if os.getppid() != job.parent:
        return
    try:
        Preparation(job).run()
    except MediaError as error:
        journal.send_error(error)
    except OSError as error:
        code = Code.CACHE_DISK_FULL if is_full(error) else Code.CACHE_UNWRITABLE
        journal.send_error(CacheError(code, why=system_reason(error.errno)))
    except Exception as error:
        # The parent would see only a dead process. Log where, not what: a foreign message may contain the address.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        journal.send_error(CacheError(Code.SERVICE_PREPARATION_BUG, place=place))


if __name__ == "__main__":
    main()
