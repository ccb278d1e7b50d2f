"""Datagrams of MPEG-TS as they come from a socket."""

import socket

import pytest

from streamferry.net.listening import DatagramPlace
from streamferry.net.udp import DatagramReceiver

PACKET = b"\x47" + bytes(187)


@pytest.fixture
def receiver():
    receiver = DatagramReceiver(DatagramPlace("127.0.0.1", 0))
    yield receiver
    receiver.close()


def test_datagrams_without_a_byte_hold_nobody_up(receiver, monkeypatch):
    """They fill no buffer, so only their count ends a visit; what is after them comes at the next."""
    monkeypatch.setattr("streamferry.net.udp._MAX_DATAGRAMS", 10)
    view = memoryview(bytearray(1 << 18))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(receiver._sock.getsockname())
        for data in (*(b"" for _ in range(15)), PACKET):
            sender.send(data)
    assert receiver.receive_into(view) is None
    assert receiver.receive_into(view) == len(PACKET)
    assert view[: len(PACKET)] == PACKET
