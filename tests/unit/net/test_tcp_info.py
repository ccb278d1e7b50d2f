"""What the kernel says of a connection."""

import re
import shutil
import socket
import subprocess

import pytest

from streamferry.net.tcp_info import tcp_info


@pytest.fixture
def connected():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as near:
            far, _ = listening.accept()
            with far:
                yield near, far


def test_a_connection_that_sends(connected):
    near, far = connected
    near.sendall(bytes(100_000))
    received = 0
    while received < 100_000:
        received += len(far.recv(65536))
    told = tcp_info(near)
    assert 0 < told.rtt_ms < 10_000
    assert told.retransmits >= 0
    assert told.delivery_kbps > 0


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss (iproute2) is not installed")
def test_the_fields_are_where_the_kernel_has_them(connected):
    """As ``ss`` reads them."""
    near, far = connected
    near.sendall(bytes(50_000))
    far.recv(50_000, socket.MSG_WAITALL)
    command = ["ss", "-tin", f"sport = :{near.getsockname()[1]}"]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    told = tcp_info(near)
    assert float(re.search(r" rtt:([\d.]+)/", words)[1]) == pytest.approx(told.rtt_ms, abs=0.01)
    assert float(re.search(r"delivery_rate (\d+)bps", words)[1]) / 1000 == pytest.approx(told.delivery_kbps, rel=0.01)


def test_what_is_no_connection():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert tcp_info(sock) is None
    assert tcp_info(sock) is None
