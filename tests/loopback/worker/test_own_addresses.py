"""Addresses that this machine has in its networks, which no policy but ``any`` lets a task reach."""

import json
import os
import subprocess
import sys

import pytest

from kit import programs

#: Run in a network namespace of its own: what each policy says of each address, and whether a listener is reached.
_SCRIPT = """
import asyncio, json, sys
from streamferry.media.errors import PeerForbidden, PeerUnreachable
from streamferry.net.dial import Deadlines, dial
from streamferry.worker.egress import Egress, decide_allow

async def reach(policy, address):
    host = "::" if ":" in address else "0.0.0.0"
    server = await asyncio.start_server(lambda _, writer: writer.close(), host, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        (await dial(address, port, deadlines=Deadlines(connect=0.2), allow=decide_allow(policy))).close()
        return "reached"
    except PeerForbidden:
        return "forbidden"
    except PeerUnreachable:
        return "unreachable"
    finally:
        server.close()

async def main():
    print(json.dumps({a: [await reach(policy, a) for policy in Egress] for a in sys.argv[1:]}))

asyncio.run(main())
"""
_NETWORKS = """
set -e
ip link set lo up
# The second of a subnet, one alone, and a whole subnet, which on lo leads here address by address.
ip address add 10.9.0.1/24 dev lo
ip address add 10.9.0.2/24 dev lo
ip address add 93.184.216.34/32 dev lo
ip -6 address add fd00:1::5/64 dev lo nodad
ip -6 address add fd00:1::6/64 dev lo nodad
# Ranges that are on no interface.
ip route add local 10.66.0.0/16 dev lo
ip route add local 10.67.0.0/16 dev lo src 93.184.216.34
ip -6 route add local fd00:66::/64 dev lo
# Leads out, as far as the kernel can tell.
ip route add 10.70.0.0/16 dev lo
ip -6 route add fd00:70::/64 dev lo
test -z "$NONLOCAL" || for version in 4 6; do echo 1 > /proc/sys/net/ipv$version/ip_nonlocal_bind; done
exec "$@"
"""
OWN = ("10.9.0.1", "10.9.0.2", "10.9.0.3", "fd00:1::5", "fd00:1::6", "10.66.1.2", "10.67.1.2", "fd00:66::1")
#: Not of a private network: ``public`` would let it through.
OWN_AND_PUBLIC = ("93.184.216.34",)
#: Nothing listens there, and where NAT64 is it would send it back.
OWN_WRAPPED = ("::ffff:10.9.0.2", "64:ff9b::a09:2", "64:ff9b:1::a09:2")
OTHERS = ("10.70.0.1", "fd00:70::1", "10.99.0.1", "fd00:99::1")


@pytest.mark.parametrize("nonlocal_bind", ["", "1"], ids=["", "ip_nonlocal_bind"])
def test_no_policy_but_any_reaches_this_machine(nonlocal_bind: str) -> None:
    """By none of its addresses, and those of other machines are not taken for its own."""
    unshare, shell, _ = programs.need("unshare"), programs.need("sh"), programs.need("ip")
    rights = () if os.getuid() == 0 else ("--user", "--map-root-user")
    command = [unshare, *rights, "--net", shell, "-c", _NETWORKS, shell, sys.executable, "-c", _SCRIPT]
    done = subprocess.run(
        [*command, *OWN, *OWN_AND_PUBLIC, *OWN_WRAPPED, *OTHERS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"NONLOCAL": nonlocal_bind},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    own = {address: said[address] for address in OWN + OWN_AND_PUBLIC}
    assert own == {address: ["forbidden", "forbidden", "reached"] for address in own}
    wrapped = {address: said[address] for address in OWN_WRAPPED}
    assert wrapped == {address: ["forbidden", "forbidden", "unreachable"] for address in wrapped}
    others = {address: said[address] for address in OTHERS}
    assert others == {address: ["forbidden", "unreachable", "unreachable"] for address in others}
