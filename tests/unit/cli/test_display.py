"""The line that a relay keeps in front of whoever started it."""

from streamferry.cli.display import progress_line
from streamferry.relay.status import RelayStatus, State


def test_the_last_line_says_what_was_done() -> None:
    """It ended with "out 0 kbps"; what counts at the end is how much was sent, and whether it went smoothly."""
    ended = progress_line(RelayStatus(State.ENDED, media_time_ms=3_612_300, bytes_out=2_400_000)).plain
    assert ended.split() == ["ended", "1:00:12.3", "sent", "2.4", "MB", "retries", "0"]
    stopped = progress_line(RelayStatus(State.STOPPED, retries=3, bytes_out=100, dropped_tags=2)).plain
    assert stopped.split() == ["stopped", "0:00:00.0", "sent", "0.0", "MB", "dropped", "2", "retries", "3"]


def test_while_it_runs_the_rate_is_told() -> None:
    """And nothing of retries as long as there are none."""
    line = progress_line(RelayStatus(State.STREAMING, kbps_in=900, kbps_out=1000, bytes_out=5)).plain
    assert line.split() == ["streaming", "0:00:00.0", "in", "900", "kbps", "out", "1000", "kbps"]
