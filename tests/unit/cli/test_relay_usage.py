"""What ``streamferry relay`` says of arguments that cannot be: exit status 2, and words that name what is wrong."""

from pathlib import Path

import pytest

from kit.relay_program import run_to_end

NOWHERE = "rtmp://127.0.0.1:1/live/key"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--to", NOWHERE], "source"),
        (["a.mp4"], "--to"),
        (["a.mp4", "--to", "http://127.0.0.1/live/key"], ".m3u8"),
        (["a.mp4", "--to", "ftp://127.0.0.1/live/key"], "rtmp://"),
        (["a.mp4", "--to", "rtmp://127.0.0.1/nokey"], "stream key"),
        (["a.mp4", "--to", NOWHERE, "--loop", "0"], "loop"),
        (["a.mp4", "--to", NOWHERE, "--offset", "-1"], "offset"),
        (["a.mp4", "--to", NOWHERE, "--offset", "3", "--end-offset", "2"], "end offset"),
        (["a.mp4", "--to", NOWHERE, "--duration", "0"], "duration"),
        (["a.mp4", "--to", NOWHERE, "--codecs", "hevc"], "--codecs: must be any, h264 or h264_if_needed"),
        (["rtmp://127.0.0.1:1/a/b", "rtmp://127.0.0.1:1/a/c", "--live", "--to", NOWHERE], "source"),
        (["a.mp4"] * 31 + ["--to", NOWHERE], "30"),
        (["rtmp://127.0.0.1:1/nokey", "--to", NOWHERE], "sources"),
        (["a.mp4", "--to", NOWHERE, "--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path: Path, arguments: list[str], named: str) -> None:
    """The message on standard error names it, and nothing is tried."""
    done = run_to_end(tmp_path / "relay", *arguments)
    assert done.status == 2
    assert named in done.errors
    assert done.output == ""
