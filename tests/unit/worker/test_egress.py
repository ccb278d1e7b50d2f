"""Which addresses each policy lets tasks reach."""

import pytest

from streamferry.worker.egress import Egress, decide_allow

PUBLIC = ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822")
LAN = ("10.1.2.3", "192.168.0.9", "172.16.5.5", "100.64.0.9", "fd00::5", "fec0::5", "64:ff9b::a01:203")
HERE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "::1", "::", "169.254.169.254", "fe80::1%eth0",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "224.0.0.1", "ff02::1", "not an address",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
)  # fmt: skip
METADATA = (
    "100.100.100.200", "100.96.0.96", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
    "::ffff:100.100.100.200",
)  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "reachable", "refused"),
    [(Egress.PUBLIC, PUBLIC, LAN + HERE + METADATA), (Egress.LAN, PUBLIC + LAN, HERE + METADATA)],
)
def test_what_a_policy_allows(policy: Egress, reachable: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """Neither lets a task reach this machine or the metadata service of a cloud, however the address is written."""
    allow = decide_allow(policy)
    assert allow is not None
    assert [address for address in reachable if not allow(address)] == []
    assert [address for address in refused if allow(address)] == []


def test_any_is_any() -> None:
    """No test at all."""
    assert decide_allow(Egress.ANY) is None
