"""A machine with two cables, as network namespaces show it: what runs on it reaches a *near* and a *far* place, and the
cable to the far one can be pulled. Nobody is told of that: what is sent is lost, as between machines.

The places are two addresses of a third namespace, and what listens there is a socket of this process. All of it ends
with its context. Without root it is made in a user namespace. Only IPv4 is used, which machines without IPv6 have too.
"""

import os
import socket
import subprocess
import sys
from types import TracebackType
from typing import Self

from kit import programs

NEAR, FAR = "10.77.1.1", "10.77.2.1"
#: Runs in the namespace of the places: makes the machine's, the cables and the sockets, hands both over, and then pulls
#: and plugs the far cable as it is told, until its standard input ends.
_MAKE = """
import os, socket, subprocess, sys, time
unshare, nsenter, ip, near, far = sys.argv[1:]
machine = subprocess.Popen([unshare, "--net", "sleep", "infinity"])
there, here = (f"/proc/{pid}/ns/net" for pid in (machine.pid, "self"))
while os.readlink(there) == os.readlink(here):
    time.sleep(0.005)
on_it = [nsenter, f"--net={there}", ip]
def run(*words):
    subprocess.run(words, check=True)
run(ip, "link", "set", "lo", "up")
run(*on_it, "link", "set", "lo", "up")
for name, address in ("near", near), ("far", far):
    run(ip, "link", "add", name, "type", "veth", "peer", "name", name, "netns", str(machine.pid))
    run(ip, "address", "add", f"{address}/24", "dev", name)
    run(*on_it, "address", "add", f"{address[:-1]}2/24", "dev", name)
    run(ip, "link", "set", name, "up")
    run(*on_it, "link", "set", name, "up")
listening = [socket.create_server((address, 0)) for address in (near, far)]
told = socket.socket(fileno=1)
socket.send_fds(told, [str(machine.pid).encode()], [one.fileno() for one in listening])
for one in listening:
    one.close()
try:
    for order in sys.stdin:
        run(ip, "link", "set", "far", order.strip())
        told.send(b".")
finally:
    machine.kill()
"""


class TwoCables:
    """Context manager. ``prefix``: words before a command that is to run on the machine. ``near`` and ``far``: sockets
    that listen at these places."""

    prefix: tuple[str, ...]
    near: socket.socket
    far: socket.socket

    def __enter__(self) -> Self:
        unshare, nsenter, ip = programs.need("unshare"), programs.need("nsenter"), programs.need("ip")
        mapped = () if os.getuid() == 0 else ("--user", "--map-root-user")
        self._told, told = socket.socketpair()
        words = [unshare, *mapped, "--net", sys.executable, "-c", _MAKE, unshare, nsenter, ip, NEAR, FAR]
        with told:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=told.fileno())
        said, sockets, _, _ = socket.recv_fds(self._told, 64, 2)
        if not said:
            self._process.communicate()
            raise RuntimeError("network namespaces cannot be made here")
        self.near, self.far = (socket.socket(fileno=one) for one in sockets)
        place = f"/proc/{said.decode()}/ns"
        self.prefix = (
            nsenter,
            *((f"--user={place}/user", "--preserve-credentials") if mapped else ()),
            f"--net={place}/net",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        for one in (self._told, self.near, self.far):
            one.close()

    def pull(self) -> None:
        """The far cable, at the other end: nothing of the machine's own has changed."""
        self._order("down")

    def plug(self) -> None:
        """Both cables are in their places."""
        self._order("up")

    def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        assert self._told.recv(1) == b"."
