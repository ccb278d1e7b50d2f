"""A real PostgreSQL on a free loopback port, in a directory of its own, as a user who is not root."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import programs
from kit.programs import Program
from kit.waiting import free_ports, wait_for

_PLACES = "/usr/lib/postgresql/*/bin/initdb"
_TRIES = 5
#: Where processes of a run keep a new cluster for each other: to make one costs 0.8 s of CPU, to copy it 0.1.
_kept: Path | None = None


def keep_cluster(directory: Path) -> None:
    """Clusters are copies of one in this directory from now on."""
    global _kept
    _kept = directory / "postgresql-cluster"


class PostgreSql:
    """Start it with :meth:`start`. ``database()`` makes an empty database and gives its address."""

    def __init__(self, home: Path, *, is_durable: bool = False) -> None:
        """``is_durable``: waits for the disk, as one in earnest does."""
        self._bin = _find_programs()
        self._fsync = "on" if is_durable else "off"
        self._home = home
        self._port = 0
        self._databases = 0
        self._program: Program | None = None
        self._as_user = _as_unprivileged()
        home.mkdir(parents=True)
        if self._as_user:
            shutil.chown(home, "postgres", "postgres")
            # The user has to come through to it; a temporary directory is its owner's alone.
            for parent in (home, *home.parents):
                if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)

    def start(self) -> None:
        """Make the cluster at the first call, start, and wait until it answers."""
        data = self._home / "data"
        if not data.exists():
            self._make_cluster(data)
        for _ in range(_TRIES):
            (self._port,) = [self._port] if self._port else free_ports(1)
            settings = {
                "port": self._port,
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "fsync": self._fsync,
                "full_page_writes": self._fsync,
                "max_connections": 200,
                # Not in the machine's shared memory, where tests of full disks count every byte (kit/disks.py).
                "dynamic_shared_memory_type": "mmap",
            }
            words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            if self._launched([*self._as_user, self._bin / "postgres", "-D", data, *words]):
                return
            self._port = 0
        raise AssertionError(f"PostgreSQL did not start:\n{self._home.with_suffix('.log').read_text()}")

    def stop(self, *, for_good: bool = False) -> None:
        """Stop at once, cutting every connection. ``for_good``: nothing is written any more."""
        if self._program is not None:
            self._program.stop(signal.SIGQUIT if for_good else signal.SIGINT)
            self._program = None

    def kill(self) -> None:
        """kill -9 of all its processes at once: it closes nothing, and has to recover at its next start."""
        victims = self.pids
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, how)
        self.stop()

    def follow(self, primary: "PostgreSql") -> None:
        """Begin as a copy of one that runs, which takes over from it what it writes, and no writes of others."""
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "tests"]
        words: list[str | Path] = ["-D", self._home / "data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        programs.run([*self._as_user, self._bin / "pg_basebackup", *source, *words])
        self.start()

    def promote(self) -> None:
        """Take writes from now on."""
        assert self.execute("SELECT pg_promote()").strip() == "t"

    def wrap_transaction_ids(self) -> None:
        """As if 4 billion transactions had been; while it is stopped."""
        programs.run([*self._as_user, self._bin / "pg_resetwal", "--epoch=1", "-D", self._home / "data"])

    @property
    def port(self) -> int:
        """Where it listens on the loopback; the same after a restart."""
        return self._port

    @property
    def pids(self) -> list[int]:
        """All its processes: the first one and those that serve."""
        assert self._program is not None
        return [self._program.pid, *programs.descendants(self._program.pid)]

    def database(self, template: str = "template0") -> str:
        """The address of a new database, a copy of the one named."""
        self._databases += 1
        name = f"tests_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]}")
        return f"postgresql://tests@127.0.0.1:{self._port}/{name}"

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run a statement and give what it prints."""
        address = f"postgresql://tests@127.0.0.1:{self._port}/{database.rpartition('/')[2]}"
        return programs.run([self._bin / "psql", "-qAtX", address, "-c", statement]).stdout

    def _make_cluster(self, data: Path) -> None:
        if _kept is not None and _kept.exists():
            programs.run(["cp", "-a", _kept, data])
            return
        options = ["--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C"]
        programs.run([*self._as_user, self._bin / "initdb", "-D", data, *options])
        if _kept is not None:
            copy = Path(tempfile.mkdtemp(dir=_kept.parent))
            programs.run(["cp", "-a", data, copy])
            # Another process may have been the first.
            with contextlib.suppress(OSError):
                (copy / data.name).rename(_kept)

    def _launched(self, command: list[str | Path]) -> bool:
        program = self._program = Program(command, self._home.with_suffix(".log"))
        wait_for("PostgreSQL to answer", lambda: self._answers() or not program.is_running)
        return program.is_running

    def _answers(self) -> bool:
        address = ("-h", "127.0.0.1", "-p", str(self._port))
        return subprocess.run([self._bin / "pg_isready", "-q", *address], check=False).returncode == 0


@contextlib.contextmanager
def running(*, is_durable: bool = False, follows: PostgreSql | None = None) -> Iterator[PostgreSql]:
    """A server for as long as the block; ``follows``: as a standby of that one."""
    # Not among pytest's directories: each session of a user closes those of all sessions to other users.
    with tempfile.TemporaryDirectory(prefix="streamferry-postgresql-") as place:
        server = PostgreSql(Path(place) / "server", is_durable=is_durable)
        try:
            if follows is None:
                server.start()
            else:
                server.follow(follows)
            yield server
        finally:
            server.stop(for_good=True)


def _find_programs() -> Path:
    found = sorted(Path("/").glob(_PLACES.lstrip("/")))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql); run scripts/tools.sh as root")
    return found[-1].parent


def _as_unprivileged() -> list[str]:
    """The words in front of a command that make it run as somebody else than root, who may not run a server."""
    if os.geteuid() != 0:
        return []
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam("postgres")
        return [
            programs.need("setpriv"),
            f"--reuid={user.pw_uid}",
            f"--regid={user.pw_gid}",
            "--clear-groups",
            "--pdeathsig=INT",
        ]
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
