"""Live sources that do anything that sources do, read, laid and sent: what arrives plays in a strict player.

As many as the environment's ``ODD_SOURCES`` says; 500 if it says nothing.
"""

import os
from collections import Counter
from itertools import chain, pairwise

import pytest

from property.relay.odd_source import SECRET, Mark, OddSource, Session
from streamferry.media.enhanced import codec_of, tag_kind
from streamferry.media.errors import SourceEnded
from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, SCRIPT, SEQUENCE_HEADER, VIDEO, LaidTag
from streamferry.push import Outlet
from streamferry.relay.drift import Drift
from streamferry.relay.feed import LiveFeed
from streamferry.source.flv import FlvReader
from streamferry.source.live import SCRATCH_BYTES, ConnectionInlet
from streamferry.timeline import Timeline
from streamferry.wire.aac import silent_frame, silent_header
from streamferry.wire.flv import is_script

COUNT = int(os.environ.get("ODD_SOURCES", "500"))
SHARES = 10
VISIT_S = 0.16
SCRATCH = memoryview(bytearray(SCRATCH_BYTES))
#: Number of the header of silence.
OURS = -1
OUR_HEADER, OUR_FRAME = silent_header(48000, 2), silent_frame(2)
#: A frame whose stamp is right is this far from where its session's others are laid.
OFF_MS = 5


class Taking:
    """A session that takes all."""

    chunks = framed = forms = None
    is_blocked = False
    sent_bytes = acked_bytes = 0

    def __init__(self) -> None:
        self.tags: list[LaidTag] = []

    def write(self, tags: list[LaidTag]) -> int:
        self.tags += [(kind, ms, bytes(body), mark) for kind, ms, body, mark in tags]
        return len(tags)


class Connection:
    """What has arrived of a session by now."""

    def __init__(self, session: Session) -> None:
        self._pieces = session.pieces[::-1]
        self.now_ms = 0

    def receive_into(self, view: memoryview) -> int | None:
        size = 0
        while self._pieces and self._pieces[-1][0] <= self.now_ms and size + len(self._pieces[-1][1]) <= len(view):
            piece = self._pieces.pop()[1]
            view[size : size + len(piece)] = piece
            size += len(piece)
        return size or (None if self._pieces else 0)

    def close(self) -> None:
        pass


def play(sessions: list[Session], silence: bool, *, may_replay: bool = False) -> list[list[LaidTag]]:
    """What a destination, which was there throughout, got of each of these sessions, one after the other."""
    timeline, outlet, taking, drift = Timeline(), Outlet(), Taking(), Drift()
    outlet.attach(taking, [], 0.0)  # type: ignore[arg-type]
    now, parts = 100.0, list[list[LaidTag]]()
    for session in sessions:
        connection, began = Connection(session), now
        inlet = ConnectionInlet(connection, connection.receive_into, FlvReader(), clock=lambda: 0.0)
        feed = LiveFeed(
            inlet, timeline, SCRATCH, now, drift=drift, silence=silence, may_replay=may_replay and bool(parts)
        )
        while True:
            connection.now_ms = round((now - began) * 1000)
            laid: list[LaidTag] = []
            try:
                feed.pull(now, laid)
            except SourceEnded:
                break
            finally:
                outlet.offer(laid)
            now += VISIT_S
        feed.close()
        parts.append(taking.tags)
        taking.tags = []
    return parts


def judge(sessions: list[Session], tags: list[LaidTag]) -> None:
    """Raise AssertionError for what a strict player would not take, where the source itself has sent it."""
    headers: dict[int, int] = {}
    codecs: dict[int, bytes] = {}
    groups: set[int] = set()
    for tag_type, dts_ms, body, kind in tags:
        assert dts_ms >= 0
        if tag_type == SCRIPT:
            assert is_script(body)
            assert SECRET.encode() not in body
            continue
        mark = Mark.of(body)
        if kind == SEQUENCE_HEADER:
            headers[tag_type] = mark.header if mark else OURS
            codecs[tag_type] = codec_of(tag_type, body)
            assert mark or body == OUR_HEADER
            continue
        assert kind <= KEYFRAME, "a tag that carries nothing"
        if mark is None:
            assert (tag_type, body, headers[AUDIO]) == (AUDIO, OUR_FRAME, OURS)
            continue
        sent = sessions[mark.session]
        if mark.header in sent.headers:
            assert headers.get(tag_type) == mark.header, "a frame with the header of another"
            assert codecs[tag_type] == codec_of(tag_type, body)
        if tag_type == VIDEO and mark.group in sent.groups:
            if tag_kind(VIDEO, body) == KEYFRAME:
                groups.add(mark.group)
            assert mark.group in groups, "a picture without its keyframe"
    for track in (AUDIO, VIDEO):
        stamps = [dts_ms for tag_type, dts_ms, _, kind in tags if tag_type == track and kind <= KEYFRAME]
        assert all(later > earlier for earlier, later in pairwise(stamps))
    metadata = [tag[2] for tag in tags if tag[3] == METADATA]
    assert all(before != after for before, after in pairwise(metadata))
    moved = moves(tags)
    for number, session in enumerate(sessions):
        assert number in moved or not session.groups, "a session that was lost"
    for number, by_track in moved.items():
        found = set().union(*by_track.values())
        assert max(found) - min(found) <= OFF_MS, f"sound and picture of {sessions[number].about} are apart"


def moves(tags: list[LaidTag]) -> dict[int, dict[int, set[int]]]:
    """Of each session how far its frames were moved, by track; without those whose stamps are odd."""
    found: dict[int, dict[int, set[int]]] = {}
    for tag_type, dts_ms, body, kind in tags:
        mark = Mark.of(body)
        if kind <= KEYFRAME and mark is not None and not mark.is_odd:
            found.setdefault(mark.session, {}).setdefault(tag_type, set()).add(dts_ms - mark.true_ms)
    return found


@pytest.mark.parametrize("share", range(SHARES))
def test_a_strict_player_did_not_take_odd_live_sources(share: int) -> None:
    """Headers before frames, rising stamps, a keyframe first, sound where the picture is, and no word of the source."""
    for seed in range(share, COUNT, SHARES):
        sessions = OddSource(seed).sessions()
        try:
            judge(sessions, list(chain(*play(sessions, silence=seed % 3 > 0))))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {[one.about for one in sessions]}: {error}") from None


@pytest.mark.parametrize("share", range(SHARES))
def test_a_stream_that_is_sent_in_pieces_is_doubled_nowhere(share: int) -> None:
    """Servers send again what they had sent, or miss some of it; sound stays where the picture is."""
    for seed in range(share, COUNT, SHARES):
        sessions = OddSource(seed).repeated()
        parts = play(sessions, silence=seed % 3 > 0, may_replay=True)
        about = f"seed {seed}: {sessions[0].about}"
        seen = Counter(
            (tag[0], mark.true_ms) for tag in chain(*parts) if tag[3] <= KEYFRAME and (mark := Mark.of(tag[2]))
        )
        assert set(seen.values()) <= {1}, f"{about}: sent twice"
        for part in parts:
            for by_track in moves(part).values():
                found = set().union(*by_track.values())
                assert max(found) - min(found) <= OFF_MS, f"{about}: sound and picture are apart"
        for track in (AUDIO, VIDEO):
            stamps = [tag[1] for tag in chain(*parts) if tag[0] == track and tag[3] <= KEYFRAME]
            assert all(later > earlier for earlier, later in pairwise(stamps)), about
