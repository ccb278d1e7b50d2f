"""Promises in seconds: each against the real thing, so many times, with the median and the worst.

    python bench/promises.py [--trials N] [--only WORDS]

Tests judge no seconds from above (docs/decisions/0038-tests-wait-for-states.md), because a machine that tests has other
work. Here each promise is kept or broken by the worst of its trials. The peers are those of the tests: nginx-rtmp,
ffmpeg as a publisher, a web server, a destination that stops reading. Each trial has a relay or a service of its own.
The clock starts when a peer has done what it does, and stops when what was promised is seen from outside.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from termios import FIONREAD
from threading import Thread

from rich.console import Console
from rich.table import Table

from measure import about
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

sys.path.append(str(BENCH.parent / "tests"))
from kit import programs
from kit.clips import ClipFactory
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import RelayProgram
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from scripted import destination as manners
from scripted.destination import Caller, Destination

#: How long a source stays away, in turn.
AWAY_S = (1.0, 3.0, 6.0)
#: Tasks of each kind that a service has when it is told to stop.
TASKS = 4


class Stage:
    """A folder, clips and an nginx for one trial. What is started in it ends with it."""

    def __init__(self, home: Path, stack: ExitStack, number: int) -> None:
        self.home = home
        #: Of the trial.
        self.number = number
        self._stack = stack
        self._publishers = 0
        (home / "clips").mkdir()
        self.clips = ClipFactory(home / "clips", home / "made")
        self.nginx = NginxRtmp(home / "nginx")
        self.nginx.start()
        stack.callback(self.nginx.stop)

    def publish(self, clip: str = "flash_beep") -> Publisher:
        """ffmpeg publishes a clip to nginx as ``cam``."""
        self._publishers += 1
        log = self.home / f"publisher-{self._publishers}.log"
        publisher = self._stack.enter_context(Publisher(self.clips(clip), self.nginx.url("cam"), log))
        self.nginx.wait_published("cam")
        return publisher

    def relay(self, source: object, destination: str) -> RelayProgram:
        """``streamferry relay``, once it streams."""
        running = self._stack.enter_context(RelayProgram(self.home / "relay", source, "--live", "--to", destination))
        running.wait_state("streaming")
        return running

    def camera_to_out(self, clip: str = "flash_beep") -> tuple[Publisher, RelayProgram]:
        """A publisher at nginx, and the relay that takes its stream from there to ``out`` there."""
        publisher = self.publish(clip)
        running = self.relay(self.nginx.url("cam"), self.nginx.url("out"))
        self.nginx.wait_published("out")
        return publisher, running


def since(began: float) -> float:
    """Seconds since a monotonic time."""
    return time.monotonic() - began


def picture_is_back(stage: Stage) -> float:
    """From a publisher's return to its pictures at the destination, in the publish session that was open meanwhile.

    nginx-rtmp keeps no keyframe for who comes, so the clip has one each 0.2 s: that wait is the source's own.
    """
    publisher, _ = stage.camera_to_out("close_keyframes")
    publisher.vanish()
    stage.nginx.wait_unpublished("cam")
    time.sleep(AWAY_S[stage.number % len(AWAY_S)])
    silent = stage.nginx.published("out")
    if silent is None:
        raise RuntimeError("the publish session was closed although only the source was away")
    stage.publish("close_keyframes")
    began = time.monotonic()

    def is_back() -> bool:
        now = stage.nginx.published("out")
        return now is not None and now.client == silent.client and now.bytes_in > silent.bytes_in + 4000

    wait_for("the picture", is_back)
    return since(began)


def unpublished(stage: Stage) -> float:
    """From Ctrl-C to the stream's end at the destination."""
    _, running = stage.camera_to_out()
    running.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    stage.nginx.wait_unpublished("out")
    return since(began)


def service_is_gone(stage: Stage) -> float:
    """From SIGTERM to the end of a service whose tasks stream."""
    stage.publish()
    clip = stage.clips("half_a_minute")
    words = ("--egress", "any", "--files", str(stage.clips.directory))
    service = ServiceProgram(stage.home / "service", *words)
    with service:
        service.wait_ready()
        asyncio.run(_make_tasks(service, stage.nginx, f"file://{clip}"))
        for number in range(2 * TASKS):
            stage.nginx.wait_published(f"task-{number}")
        service.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        service.process.wait(60)
        return since(began)


async def _make_tasks(service: ServiceProgram, nginx: NginxRtmp, film: str) -> None:
    now = datetime.now(UTC)
    async with service.actions() as actions:
        for number in range(2 * TASKS):
            kind = TaskKind.VOD if number % 2 else TaskKind.LIVE
            item = TaskItem(MediaUrl.parse(film if number % 2 else nginx.url("cam")))
            to = MediaUrl.parse(nginx.url(f"task-{number}"))
            await actions.create_task(TaskSpec(kind, (item,), to, now, now + timedelta(hours=1)))


@contextmanager
def live_hls(stage: Stage) -> Iterator[tuple[str, list[int]]]:
    """Address of a live HLS, and the one status that is answered; it may be changed."""
    home = stage.home / "hls"
    home.mkdir()
    words = [programs.ffmpeg(), "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", stage.clips("flash_beep")]
    words += ["-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5"]
    words += ["-hls_flags", "delete_segments+temp_file", home / "live.m3u8"]
    status = [200]

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if status[0] == 200:
                super().do_GET()
            else:
                self.send_error(status[0])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with (
        programs.Program(words, stage.home / "hls.log"),
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(home))) as server,
    ):
        wait_for("segments", lambda: len(list(home.glob("*.ts"))) > 3)
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/live.m3u8?token=t", status
        finally:
            server.shutdown()
            serving.join()


def dead_token(stage: Stage) -> float:
    """From the first refusal of a live HLS's server on to the word that the source is lost."""
    with live_hls(stage) as (url, status):
        running = stage.relay(url, stage.nginx.url("out"))
        count = len(running.lines)
        status[0] = 403
        began = time.monotonic()
        running.wait_state("retrying", after=count)
        return since(began)


def wedge_is_rebuilt(stage: Stage) -> float:
    """From the last byte that a destination takes, with its connection open, to the word that it is given up."""
    stage.publish("heavy")
    return asyncio.run(_wedge(stage))


async def _wedge(stage: Stage) -> float:
    began: list[float] = []

    async def stop_reading(caller: Caller) -> None:
        await caller.receive_pictures(50)
        destination.manner = manners.take
        # Its kernel takes some more in the first second, piece by piece.
        taken_bytes = -1
        while True:
            waiting_bytes = int.from_bytes(ioctl(caller.sock, FIONREAD, bytes(4)), sys.byteorder)
            if waiting_bytes > taken_bytes:
                taken_bytes = waiting_bytes
                began[:] = [time.monotonic()]
            await asyncio.sleep(0.01)

    async with Destination(stop_reading, receive_buffer_bytes=4096) as destination:

        def watch() -> float:
            running = stage.relay(stage.nginx.url("cam"), destination.url().reveal())
            running.wait_state("retrying")
            return since(began[0])

        return await asyncio.to_thread(watch)


def silence_is_noticed(stage: Stage) -> float:
    """From where a publisher hangs, with its connection open, to the word that the source is lost."""
    publisher, running = stage.camera_to_out()
    count = len(running.lines)
    publisher.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    running.wait_state("retrying", after=count)
    took = since(began)
    publisher.process.send_signal(signal.SIGCONT)
    return took


#: What is promised, within how many seconds, and a trial of it.
PROMISES: list[tuple[str, float, Callable[[Stage], float]]] = [
    ("the picture is back after its source's return", 2.0, picture_is_back),
    ("a stream is unpublished after Ctrl-C", 2.0, unpublished),
    ("a service is gone after SIGTERM", 10.0, service_is_gone),
    ("an HLS source whose token died is lost", 10.0, dead_token),
    ("a destination that takes nothing is given up", 11.5, wedge_is_rebuilt),
    ("a silent source is lost", 7.5, silence_is_noticed),
]


def run(trial: Callable[[Stage], float], number: int) -> float:
    """One trial, on a stage of its own."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        return trial(Stage(home, stack, number))


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--only", default="", help="promises that have these words in them")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("promise", "within, s", "median, s", "worst, s")
    taken: dict[str, list[float]] = {}
    bars: list[Bar] = []
    for words, within_s, trial in PROMISES:
        if asked.only not in words:
            continue
        taken[words] = seconds = [run(trial, number) for number in range(asked.trials)]
        table.add_row(words, f"{within_s:g}", f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
        bars.append(Bar(f"{words}, s", max(seconds), within_s))
    console.print(table)
    print_bars(console, bars)
    path = keep("promises", {**about("promises", vars(asked)), "trials_s": taken}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
