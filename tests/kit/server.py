"""A server of another project as a peer of the tests: two free loopback ports, awaited, restartable."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from kit.programs import Program
from kit.waiting import accepts, free_ports, wait_for

#: Ports found free may be taken before the server listens; so often it is tried with others.
_TRIES = 5


class Server(ABC):
    """Start it with :meth:`start`; :meth:`stop` and :meth:`start` again keep the ports."""

    name = "server"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rtmp_port = self.http_port = 0
        self._program: Program | None = None
        home.mkdir(parents=True)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The command that runs it in the foreground on ``rtmp_port`` and ``http_port``."""

    def url(self, key: str, app: str = "live") -> str:
        """RTMP address of a stream, to publish and to play."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{app}/{key}"

    @property
    def output(self) -> str:
        """All it has printed, over all its starts."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until both ports answer. The first start chooses the ports."""
        if self.rtmp_port:
            self._launch()
            return
        for attempt in range(_TRIES):
            self.rtmp_port, self.http_port = free_ports(2)
            try:
                self._launch()
                return
            except ConnectionError:
                if attempt == _TRIES - 1:
                    raise

    def stop(self) -> None:
        """Stop at once, cutting every connection."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    @property
    def _log(self) -> Path:
        return self.home / f"{self.name}.log"

    def _launch(self) -> None:
        program = self._program = Program(self.command(), self._log, cwd=self.home)

        def answers() -> bool:
            if not program.is_running:
                raise ConnectionError(f"{self.name} did not start:\n{program.output}")
            return accepts(self.rtmp_port) and accepts(self.http_port)

        wait_for(f"{self.name} to listen", answers)
