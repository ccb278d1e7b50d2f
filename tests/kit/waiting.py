"""Waiting for what another process does: by looking often, with a deadline, never by sleeping a fixed time.

Each look costs CPU, here and at who is asked, that others lack: who has waited long, or whose looks take long, looks
less often.
"""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
#: For how long is waited before something is said never to come. It says nothing of how soon it has to come: a process
#: among four on two cores that have other work stands still for seconds.
PATIENCE_S = 30.0
_LOOK_EVERY, _LONGEST_PAUSE_S = 0.02, 0.1
#: What a start of our program may take. It costs 1.5 s of CPU for a relay, 5 s for a service, and a process among four
#: on two cores gets half a second each second: 10 s. On a machine where others compute as well it was more than 60. Who
#: waits sees at once when the program ends, so that only what hangs takes this long.
START_S = 240.0


def pause_s(waited_s: float, least_s: float, most_s: float) -> float:
    """How long until the next look: a twentieth of what was waited, within these bounds."""
    return min(most_s, max(least_s, waited_s / 20))


def wait_for(
    what: str, look: Callable[[], T | None], seconds: float = PATIENCE_S, *, longest_pause_s: float = _LONGEST_PAUSE_S
) -> T:
    """Call ``look`` until it gives something true and return that. AssertionError names ``what`` after the deadline.

    ``longest_pause_s``: for who is to see what is there for a moment only.
    """
    began = time.monotonic()
    while True:
        looked = time.monotonic()
        seen = look()
        if seen:
            return seen
        now = time.monotonic()
        assert now < began + seconds, f"waited {seconds} s in vain for {what}"
        for_look_s = min(10 * longest_pause_s, 2 * (now - looked))
        time.sleep(max(pause_s(now - began, _LOOK_EVERY, longest_pause_s), for_look_s))


def accepts(port: int) -> bool:
    """True if something listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago; another process may take one, so be ready to try others."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def free_udp_port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_udp_taken(port: int) -> bool:
    """Whether some program has the UDP port. The kernel is asked: who tries to bind it may keep the program from it."""
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") for row in rows)


def is_listening(port: int) -> bool:
    """Whether some program listens at the TCP port. The kernel is asked: who takes one connection must not get ours."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A" for row in rows)
