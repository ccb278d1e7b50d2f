"""What a task's spec becomes for the data plane: nothing that was asked for is left out in silence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kit.pictures import png
from streamferry.control.relay_specs import relay_spec_of
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.relay import Playhead
from streamferry.relay.spec import Codecs, Latency
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def vod(**changes: object) -> TaskSpec:
    """Two files, played for ever."""
    urls = [MediaUrl.parse(f"http://files.example/{name}.mp4") for name in ("a", "b")]
    spec = TaskSpec(
        kind=TaskKind.VOD,
        items=(TaskItem(urls[0]), TaskItem(urls[1], 1.5, 9.0)),
        destination=MediaUrl.parse("rtmp://live.example/app/key"),
        start_at=NOW,
        end_at=NOW + timedelta(hours=1),
    )
    return replace(spec, **changes)


def test_files_keep_their_offsets_loops_and_playhead() -> None:
    """The list goes on where it broke."""
    spec = relay_spec_of(vod(loops=3), Playhead(1, 1, 2000))
    assert [(item.start_s, item.end_s) for item in spec.items] == [(0.0, 0.0), (1.5, 9.0)]
    assert (spec.is_live, spec.loops, spec.playhead) == (False, 3, Playhead(1, 1, 2000))


def test_a_playhead_beyond_a_shorter_list_is_its_beginning() -> None:
    """A list that was replaced by a shorter one starts anew."""
    assert relay_spec_of(vod(), Playhead(4, 7, 100)).playhead == Playhead()


@pytest.mark.parametrize("kind", TaskKind)
def test_a_watermark_reaches_the_relay(kind: TaskKind) -> None:
    """Over files and over a live source."""
    mark = Watermark(png(), 0.1, 0.2, 0.3)
    live = (TaskItem(MediaUrl.parse("rtmp://a.example/b/c")),)
    task = vod(watermark=mark) if kind is TaskKind.VOD else vod(kind=kind, items=live, watermark=mark)
    spec = relay_spec_of(task, Playhead())
    assert spec.is_live is (kind is TaskKind.LIVE)
    assert spec.watermark == mark


def test_pre_download_reaches_the_relay() -> None:
    """It is the relay's to carry out."""
    assert relay_spec_of(vod(pre_download=False), Playhead()).pre_download is False


def test_the_latency_of_a_live_source_reaches_the_relay() -> None:
    """A list ignores it."""
    live = (TaskItem(MediaUrl.parse("rtmp://a.example/b/c")),)
    assert relay_spec_of(vod(kind=TaskKind.LIVE, items=live, latency=Latency.LOW), Playhead()).latency is Latency.LOW
    assert relay_spec_of(vod(latency=Latency.LOW), Playhead()).latency is Latency.NORMAL


def test_the_codecs_of_a_destination_reach_the_relay() -> None:
    """Whatever the source is."""
    live = (TaskItem(MediaUrl.parse("rtmp://a.example/b/c")),)
    for task in (vod(kind=TaskKind.LIVE, items=live, codecs=Codecs.H264), vod(codecs=Codecs.H264)):
        assert relay_spec_of(task, Playhead()).codecs is Codecs.H264
        assert relay_spec_of(replace(task, codecs=Codecs.ANY), Playhead()).codecs is Codecs.ANY


@pytest.mark.parametrize(
    ("slate", "title"),
    [
        (Slate(), "Morning\u2028show"),
        (Slate(SlateKind.LAST_FRAME), "Morning\u2028show"),
        (Slate(text="Back soon"), ""),
        (Slate(title="Soon"), "Soon"),
        (Slate(SlateKind.COLOR), ""),
    ],
)
def test_a_card_on_which_nothing_is_written_has_the_title_of_its_task(slate: Slate, title: str) -> None:
    """As far as it can be drawn; what was written is left as it is, and so is what shows no words."""
    shown = relay_spec_of(vod(slate=slate, title="Morning\u2028show"), Playhead()).slate
    assert shown is not None
    assert shown.title == title.replace("\u2028", "")
    assert replace(shown, title=slate.title) == slate
    assert len(Slate().of_task("x" * 300).title) == 100
