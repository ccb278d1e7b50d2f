"""What a task is said to do, and why it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from streamferry.media.errors import Fault
from streamferry.reasons import NOT_TOLD, Reason
from streamferry.relay import State
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.inputs.policy import SWITCHING
from streamferry.relay.spec import Codecs, Latency
from streamferry.relay.status import Sense, Shown
from streamferry.web.air_views import show_switching
from streamferry.web.dashboard import show
from streamferry.web.dashboard.badges import badges_of
from streamferry.web.dashboard.texts import sayer, translator
from streamferry.web.views import (
    DestinationRunView,
    DestinationView,
    FoundView,
    Kind,
    OnAirView,
    RunView,
    SourceView,
    Status,
    Strategy,
    TaskView,
    TroubleView,
    UnreadyView,
    UnseenView,
)

NOW = datetime(2026, 5, 2, tzinfo=UTC)
NEVER_STARTED = "was never started: no worker took it in its time"


def task(status: Status, state: State, reason: str = "", *, tries: int | None = None) -> TaskView:
    """``tries``: of a trouble that is not over."""
    fault = Fault.SERVICE if reason else None
    told = Reason.text(reason).told() if reason else NOT_TOLD
    trouble = None if tries is None else TroubleView(since_at=NOW, tries=tries, fault=Fault.SERVICE, **told)
    return TaskView(
        task_id="0" * 32,
        title="One",
        group="default",
        kind=Kind.LIVE,
        status=status,
        enabled=status is not Status.DISABLED,
        version=1,
        created_at=NOW,
        start_at=NOW,
        end_at=NOW + timedelta(hours=1),
        series=None,
        sources=[SourceView(url="rtmp://live.example/app/***", start_s=0, end_s=0)],
        destination="rtmp://live.example/app/***",
        destinations=[],
        loops=1,
        continue_strategy=Strategy.AT_BREAK,
        pre_download=False,
        latency=Latency.NORMAL,
        codecs=Codecs.ANY,
        placement=[],
        priority=0,
        callback_url="",
        callback_failures=0,
        callbacks_ended=False,
        watermark=None,
        note="",
        destination_server=None,
        source_options={},
        inputs=[],
        slate=None,
        switching=show_switching(SWITCHING),
        pinned=None,
        inserts=[],
        watch={},
        destination_options={},
        run=RunView(
            state=state,
            worker_id=None,
            epoch=0,
            playhead=None,
            kbps_in=0,
            kbps_out=0,
            media_time_s=0,
            bytes_in=0,
            bytes_out=0,
            preparing_percent=None,
            on_air=None,
            found=[],
            unseen=[],
            unready=[],
            repairs=0,
            sound_drift_s=None,
            dropped_tags=0,
            lost_s=0,
            lost_packets=0,
            rtt_ms=None,
            retransmits=None,
            delivery_kbps=None,
            server_ack_s=None,
            retries=0,
            fault=fault,
            **told,
            trouble=trouble,
        ),
    )


@pytest.mark.parametrize(
    ("one", "chip", "words", "problem"),
    [
        (task(Status.ACTIVE, State.STREAMING), "streaming", "Streaming", ""),
        (task(Status.ACTIVE, State.CONNECTING), "connecting", "Connecting", ""),
        (task(Status.ACTIVE, State.CONNECTING, "x", tries=3), "retrying", "Retrying (try 3)", "The service — x"),
        (task(Status.ACTIVE, State.STREAMING, "x", tries=3), "recovering", "Recovering", "The service — x"),
        (task(Status.ACTIVE, State.WAITING, "x", tries=0), "troubled", "Waiting", "The service — x"),
        (task(Status.DISABLED, State.FAILED, "x"), "stopped", "Stopped", ""),
        (task(Status.ENDED, State.STREAMING), "ended", "Ended", ""),
        (task(Status.ENDED, State.ENDED, "x"), "ended", "Ended", ""),
        (task(Status.ENDED, State.FAILED, NEVER_STARTED), "failed", "Failed", f"The service — {NEVER_STARTED}"),
    ],
)
def test_a_state_says_what_happens_and_never_more(one: TaskView, chip: str, words: str, problem: str) -> None:
    """Between two tries it retries; what streams again recovers; what failed by its end was said to have ended."""
    t = translator("en")
    assert show.chip_of(one, t) == (chip, words)
    assert show.problem_of(one, t, sayer("en")) == problem


@pytest.mark.parametrize(
    ("address", "name", "place"),
    [
        ("file:///films/a%20b.mp4", "a b.mp4", "/films"),
        ("https://h/v/a%20b.mp4?t=***", "a b.mp4", "https://h/v/?t=***"),
        # A key is shown as it is written.
        ("s3://films/up loads/100%25 #1?.mp4", "100%25 #1?.mp4", "s3://films/up loads"),
        ("rtmp://h/app/key", "rtmp://h/app/key", ""),
    ],
)
def test_a_file_is_shown_by_its_name_and_where_it_is(address: str, name: str, place: str) -> None:
    """As people know it."""
    assert show.name_and_place(address) == (name, place)


@pytest.mark.parametrize(
    ("shown", "number", "english", "chinese"),
    [
        (Shown.SLATE, None, "On air: The slate", "正在播出：垫片"),
        (Shown.INPUT, 2, "On air: Input 2", "正在播出：输入 2"),
        (Shown.INPUT, 0, "", ""),
    ],
)
def test_a_list_tells_what_is_not_as_it_should_be_though_it_streams(
    shown: Shown, number: int | None, english: str, chinese: str
) -> None:
    """A slate for hours, and a destination that got nothing, were only seen on the page of the task."""
    states = (State.STREAMING, State.RETRYING, State.CONNECTING)
    ends = [
        DestinationView.model_construct(enabled=True, run=DestinationRunView.model_construct(state=state))
        for state in states
    ]
    ends.append(DestinationView.model_construct(enabled=False, run=None))
    on_air = OnAirView(shown=shown, input=number, file="", since_at=NOW, reason="", reason_code="", reason_params={})
    black = FoundView(fault=ContentFault.BLACK, since_at=NOW, reason="", reason_code="", reason_params={})
    late = UnreadyView(input="slate", reason="", reason_code="", reason_params={})
    unseen = UnseenView(sense=Sense.SOUND, since_at=NOW, reason="", reason_code="", reason_params={})
    one = task(Status.ACTIVE, State.STREAMING)
    one = one.model_copy(
        update={
            "destinations": ends,
            "run": one.run.model_copy(
                update={"on_air": on_air, "found": [black], "unseen": [unseen], "unready": [late]}
            ),
        }
    )
    told = [
        "Black picture",
        "Sound not watched",
        *filter(None, [english]),
        "Not ready: The slate",
        "2 of 3 destinations get nothing",
    ]
    assert badges_of(one, translator("en")) == told
    assert badges_of(one, translator("zh"))[2:-2] == [*filter(None, [chinese])]
    assert badges_of(one.model_copy(update={"status": Status.DISABLED}), translator("en")) == []
