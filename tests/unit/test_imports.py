"""What a process does not need, it does not import: starts are cheap, on small machines too."""

import json
import subprocess
import sys

import pytest

#: Not pydantic: the library of the command line uses it itself.
_HEAVY = {"alembic", "asyncpg", "fastapi", "h11", "httpx", "nicegui", "sqlalchemy", "uvicorn", "uvloop"}
_TOLD = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def imported_by(program: str) -> set[str]:
    """The modules that a process has when ``program`` ends, also by SystemExit."""
    words = f"try:\n    {program}\nexcept SystemExit:\n    pass\n{_TOLD}"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=100, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["tsak"]])
def test_the_command_line_imports_no_command_but_the_one_that_is_called(words: list[str]) -> None:
    """To list commands, or to refuse one, neither the service nor the data plane is imported."""
    modules = imported_by(f"from streamferry.cli.commands import app; app({words!r})")
    assert "typer" in modules
    assert not modules & _HEAVY
    assert {name.split(".")[1] for name in modules if name.startswith("streamferry.")} == {"cli"}


def test_a_command_that_calls_a_service_imports_no_service() -> None:
    """Nor the data plane."""
    modules = imported_by("from streamferry.cli.commands import app; app(['task', 'list', '--url', ''])")
    assert {"httpx"} <= modules & _HEAVY <= {"h11", "httpx"}
    ours = {name.split(".")[1] for name in modules if name.startswith("streamferry.")}
    assert ours <= {"cli", "client", "media", "reasons", "tasks"}


def test_a_worker_of_a_service_imports_no_front_end() -> None:
    """Nor the command line, settings as people give them, migrations, the driver of the database that it has not."""
    modules = imported_by("import streamferry.cli.attached_worker, streamferry.service.work")
    assert "sqlalchemy" in modules
    unwanted = {"aiohttp", "alembic", "asyncpg", "click", "fastapi", "httpx", "nicegui", "rich", "starlette", "typer"}
    assert not modules & (unwanted | {"pydantic_settings", "sqlalchemy.dialects.postgresql", "uvicorn"})
    ours = {name.split(".")[1] for name in modules if name.startswith("streamferry.")}
    assert not ours & {"client", "config", "receiver", "web"}


def test_a_service_imports_no_data_plane_and_no_clients() -> None:
    """Its workers move the media; what NiceGUI has for clients of its protocol is not for servers."""
    modules = imported_by("import streamferry.service.assembly")
    assert "nicegui" in modules
    assert not modules & {"aiohttp", "alembic", "asyncpg", "requests", "sqlalchemy.dialects.postgresql"}
    assert not modules & {f"streamferry.{name}" for name in ("push", "relay.host", "source", "worker.worker")}
