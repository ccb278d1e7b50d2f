"""One ``streamferry serve`` for all contract tests of a module."""

from collections.abc import Iterator

import pytest
from served import KEY_ID, SECRET, Served

from kit.clips import ClipFactory
from kit.service_program import ServiceProgram


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> Iterator[Served]:
    """A service with one worker and without rate limits; it may reach the loopback and read the clips."""
    environment = {
        "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
        "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
        **{f"STREAMFERRY_{kind}_RATE": "0" for kind in ("WRITE", "LIST", "USAGE")},
    }
    words = ("--egress", "any", "--workers", "1", "--files", clips.directory)
    with ServiceProgram(tmp_path_factory.mktemp("served"), *words, environment=environment) as service:
        service.wait_ready()
        yield Served(service.url.removeprefix("http://").rstrip("/"), service.data)
        assert "Traceback" not in service.errors
