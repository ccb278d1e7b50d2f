"""Which addresses open a port of ours, and which ports may be."""

import pytest

from streamferry.media.url import MediaUrl
from streamferry.net.listening import ListenPorts, opens_port, srt_mode


@pytest.mark.parametrize(
    ("address", "opens"),
    [
        ("udp://:5000", True),
        ("udp://239.1.1.1:5000?localaddr=10.0.0.1", True),
        ("srt://:9000?mode=listener", True),
        ("srt://10.0.0.1:9000?latency=1&mode=listener", True),
        ("srt://10.0.0.1:9000?mode=caller", False),
        ("srt://10.0.0.1:9000", False),
        ("srt://10.0.0.1:9000?streamid=mode=listener", False),
        ("rtsp://10.0.0.1/x?mode=listener", False),
    ],
)
def test_what_opens_a_port(address: str, opens: bool) -> None:
    """UDP, and SRT that listens; no other scheme."""
    assert opens_port(MediaUrl.parse(address)) is opens


@pytest.mark.parametrize(
    "query",
    [
        "mode=rendezvous",
        "mode=listener&mode=caller",
        "mode=caller&mode=listener",
        "mode=%6Cistener",
        "%6Dode=listener",
        "mode=Listener",
        "mode",
        "mode=caller&MODE=listener",
        "mode=listener+",
    ],
)
def test_a_mode_that_can_be_read_in_two_ways_is_refused(query: str) -> None:
    """ffmpeg takes the first of two, libsrt of a query read by others the last; and a rendezvous opens a port, too."""
    with pytest.raises(ValueError, match="mode of an SRT address must be caller or listener"):
        srt_mode(MediaUrl.parse(f"srt://10.0.0.1:9000?{query}"))


@pytest.mark.parametrize(
    ("text", "port", "is_allowed"),
    [
        ("", 5000, False),
        ("5000", 5000, True),
        ("5000-5002, 9000", 5002, True),
        ("5000-5002, 9000", 9000, True),
        ("5000-5002, 9000", 5003, False),
        ("1-65535", 22, True),
    ],
)
def test_ports_are_ranges(text: str, port: int, is_allowed: bool) -> None:
    """And the refusal names the port and the setting."""
    reason = str(ListenPorts.parse(text).refuse(MediaUrl.parse(f"udp://:{port}")) or "")
    assert reason == ("" if is_allowed else f"would open port {port} of a worker, which is not allowed "
                      "(setting listen_ports)")  # fmt: skip


@pytest.mark.parametrize("text", ["any", "0", "70000", "9-5", "5000:6000", "-", "1-2-3", "٥"])
def test_what_is_no_port_is_refused(text: str) -> None:
    """In words."""
    with pytest.raises(ValueError, match="must be ports from 1 to 65535"):
        ListenPorts.parse(text)
