"""How many files a process may have open, and how many tasks follow."""

import resource
import subprocess
import sys

import pytest

from streamferry.service.limits import fitting_capacity

RAISE = """
import resource
from streamferry.service.limits import raise_file_limit
print(raise_file_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(128, 1024), (1024, 1024), (64, 4096)])
def test_the_soft_limit_becomes_the_hard_one(soft, hard):
    """As a shell and a container start a process: 1,024 of what may be far more."""
    done = subprocess.run(
        [sys.executable, "-c", RAISE],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    assert done.stdout.split() == [str(hard)] * 3


@pytest.mark.parametrize(
    ("wanted", "files", "capacity"),
    [(500, 1 << 20, 500), (500, 4096, 500), (500, 1024, 231), (10, 1024, 10), (500, 128, 7), (500, 20, 1)],
)
def test_capacity_follows_from_what_is_left(wanted, files, capacity):
    """Four files a task beside those of the worker; never nothing."""
    assert fitting_capacity(wanted, files) == capacity
