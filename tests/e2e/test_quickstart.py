"""The first minutes of somebody new: one command in an empty folder, one link, a picture that moves."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from kit import browser as browsers
from kit.programs import descendants
from kit.quickstart_program import QuickstartProgram
from kit.waiting import accepts, wait_for

pytestmark = pytest.mark.e2e


def test_a_quickstart_ends_with_a_picture_that_moves(tmp_path: Path) -> None:
    """The link signs in once; Ctrl-C ends everything; run again, it goes on with the same task."""
    with socket.create_server(("127.0.0.1", 0)) as other, browsers.chromium() as chromium:
        taken = other.getsockname()[1]
        with QuickstartProgram(tmp_path, "--port", taken) as program:
            link = program.link
            assert f"port {taken} is taken: {urlsplit(link).port} is used instead" in program.said
            page_of_task = re.compile(rf"{re.escape(link.partition('/sign-in')[0])}/tasks/[0-9a-f]{{32}}$")
            with browsers.tab(chromium, link) as tab:
                tab.page.goto(link)
                expect(tab.page).to_have_url(page_of_task)
                expect(tab.page.locator(".task-head .chip")).to_have_text("Streaming")
                clock = "document.querySelector('live-view video').currentTime"
                tab.page.wait_for_function(f"{clock} > 0")
                seen = tab.page.evaluate(clock)
                tab.page.wait_for_function(f"{clock} > {seen} + 1")
                task = tab.page.url.rpartition("/")[2]
                token = link.partition("#once=")[2]
                assert not any(token in address for address in tab.asked)
                assert tab.problems == []
            with browsers.tab(chromium, link) as tab:
                tab.page.goto(link)
                expect(tab.page.get_by_role("alert")).to_contain_text("already used")
                assert "/sign-in" in tab.page.url
            _only_this_machine(program.pid)
            _another_terminal(tmp_path, task)
            children = descendants(program.pid)
            assert program.interrupt() == 0
            wait_for(
                "the end of all it has started", lambda: not any(Path(f"/proc/{pid}").exists() for pid in children)
            )
            assert not accepts(urlsplit(link).port or 0)
            assert token not in program.said.replace(link, "")
        with QuickstartProgram(tmp_path, "--port", taken) as program:
            assert task in program.link
            assert "making" not in program.said
            second = QuickstartProgram(tmp_path)
            assert second.process.wait(20) == 2
            assert "is running in" in second.said
            assert program.interrupt() == 0
        assert "Traceback" not in program.output
        assert (tmp_path / "streamferry-quickstart/key.env").stat().st_mode & 0o77 == 0


def _only_this_machine(pid: int) -> None:
    """All that any of its processes listens on is loopback."""
    held = {os.readlink(fd) for one in (pid, *descendants(pid)) for fd in Path(f"/proc/{one}/fd").iterdir()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    # Address, state 0A: listens; the tenth column is the socket's inode. Loopback as the kernel writes it.
    ours = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held]
    assert ours
    assert all(place.startswith(("0100007F:", "00000000000000000000000001000000:")) for place in ours), ours


def _another_terminal(folder: Path, task: str) -> None:
    """The line that it prints for it works as it stands."""
    said = (folder / "output").read_text()
    line = re.search(r"^Another terminal:  (.*)$", said, re.M)
    assert line is not None
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMFERRY_", "VOLC_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{bare['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line[1]], env={**bare, "PATH": path}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert task[:8] in done.stdout
    assert "streaming" in done.stdout
