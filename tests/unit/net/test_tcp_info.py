"""What the kernel says of a connection."""

import socket

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


def test_what_is_no_connection():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert tcp_info(sock) is None
    assert tcp_info(sock) is None
