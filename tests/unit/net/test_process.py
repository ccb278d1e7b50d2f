"""A process among others: what /proc shows of it to whom, and what the first one of a container does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit import programs
from kit.waiting import wait_for

_FORGET = """
import os, sys
from streamferry.net.process import forget_variables
before = open("/proc/self/environ").read()
forget_variables(("SEAL_KEY", "NOT_THERE"))
print("s3cret" in before, "SEAL_KEY" in os.environ, os.environ["OTHER"])
print(open("/proc/self/environ").read().replace(chr(0), " "))
"""


def test_a_forgotten_variable_is_not_in_proc_either() -> None:
    """Where it was read from; its neighbours stay."""
    environment = {**os.environ, "SEAL_KEY": "s3cret", "OTHER": "SEAL_KEY=other"}
    done = subprocess.run(
        [sys.executable, "-c", _FORGET], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    told, shown = done.stdout.splitlines()
    assert told == "True False SEAL_KEY=other"
    assert "s3cret" not in shown
    assert "OTHER=SEAL_KEY=other" in shown


# As nobody, whom no capability helps to look; a change of user makes a process dumpable no more, hence again.
_LIVES = """
import ctypes, os, sys
from streamferry.net.process import hide
if not os.getuid():
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1)
if sys.argv[1] == "hidden":
    hide()
print("ready", flush=True)
sys.stdin.read()
"""
_LOOKS = """
import os, sys
if not os.getuid():
    os.setuid(65534)
for name in ("environ", "maps", "fd"):
    try:
        (os.listdir if name == "fd" else open)(f"/proc/{sys.argv[1]}/{name}")
    except PermissionError:
        print("refused")
    else:
        print("seen")
"""


@pytest.mark.parametrize(("how", "outcome"), [("hidden", "refused"), ("open", "seen")])
def test_a_hidden_process_is_not_looked_into(how: str, outcome: str) -> None:
    """Not by other programs of the same user: neither environment, nor memory, nor open files."""
    with subprocess.Popen(
        [sys.executable, "-c", _LIVES, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        look = subprocess.check_output([sys.executable, "-c", _LOOKS, str(living.pid)], text=True, timeout=30)
        living.communicate("")
    assert look.split() == [outcome] * 3


# The service leaves orphans and a file when all is well; it ends at SIGTERM with a status of its own.
_SERVICE = """
import os, signal, sys, time
from pathlib import Path
from streamferry.net.process import be_init
be_init()
for _ in range(5):
    if not (child := os.fork()):
        if os.fork():
            os._exit(0)
        while os.getppid() != 1:
            time.sleep(0.001)
        os._exit(0)
    os.waitpid(child, 0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""


def test_the_first_process_of_a_container_reaps_and_passes_signals_on(tmp_path: Path) -> None:
    """What loses its parent is no zombie; SIGTERM reaches the service, and its status is that of the whole."""
    unshare = programs.need("unshare")
    rights = () if os.getuid() == 0 else ("--user", "--map-root-user")
    words = [unshare, *rights, "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", _SERVICE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert int(outer.stdout.readline()) > 1
        (init,) = _children(outer.pid)
        wait_for("the orphans to be reaped", lambda: len(_children(init)) == 1)
        os.kill(init, 15)
        assert outer.wait(10) == 7


def _children(pid: int) -> list[int]:
    """Zombies are among them."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
