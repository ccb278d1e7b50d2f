"""Datagrams of MPEG-TS as they come from a socket."""

import os
import socket
import sys
from pathlib import Path

import pytest

from kit import programs
from streamferry.net.listening import DatagramPlace
from streamferry.net.udp import DatagramReceiver

PACKET = b"\x47" + bytes(187)
#: Runs in a network of its own: two senders on a cable, to a group of its link; prints what two receivers have got.
_GROUP_OF_IPV6 = """
import socket, subprocess, sys
from streamferry.net.listening import DatagramPlace
from streamferry.net.udp import DatagramReceiver
group = "ff12::7107"
for words in (
    "link add near type veth peer name far", "address add fd77::1/64 dev near nodad",
    "address add fd77::2/64 dev near nodad", "link set near up", "link set far up",
):
    subprocess.run([sys.argv[1], *words.split()], check=True)
receivers = [DatagramReceiver(DatagramPlace(group, 5000, "fd77::1", senders)) for senders in ((), ("fd77::2",))]
for address in ("fd77::1", "fd77::2"):
    sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sender.bind((address, 0))
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("near"))
    sender.sendto(b"G" + address.encode() + b" ", (group, 5000))
view = memoryview(bytearray(1 << 18))
for one in receivers:
    print(bytes(view[: one.receive_into(view) or 0]).decode())
"""


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


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6")
def test_of_a_group_of_ipv6_only_the_chosen_senders():
    """On the interface that has the address which is told."""
    mapped = () if os.getuid() == 0 else ("--user", "--map-root-user")
    words = [programs.need("unshare"), *mapped, "--net", sys.executable, "-c", _GROUP_OF_IPV6, programs.need("ip")]
    assert programs.run(words).stdout.split("\n")[:2] == ["Gfd77::1 Gfd77::2 ", "Gfd77::2 "]
