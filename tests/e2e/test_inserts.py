"""Files inserted into tasks of a service, between real servers: which picture is on air is read from the picture.

Red is the source, yellow a list, green a file that is inserted.
"""

import base64
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import programs
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames, make_picture
from kit.probe import assert_dts_strictly_rising, decode_errors, max_gap_ms, packets
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.client import RestService
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import SEQUENCE_HEADER, Tag
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.relay.header_forms import form_of
from streamferry.source.flv import FlvReader

KEY_ID, SECRET = "AKLTinserts", "secret-of-the-inserts"
FPS = 25
X265 = ("-c:v", "libx265", "-x265-params", "log-level=error")
COLORS = {"r": (254, 0, 0), "g": (0, 128, 0), "y": (255, 255, 0)}


def film(path: Path, color: str, seconds: float, *coded: str, size: str = "160x90") -> Path:
    """One colour and one tone, a keyframe each second."""
    inputs = (f"color=c={color}:s={size}:r={FPS}", "sine=sample_rate=44100")
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", str(seconds), "-i", graph)]
    kept = ("-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *kept, *coded, path])
    return path


def stretches(path: Path) -> list[tuple[str, int]]:
    """The colours of a recording in order, and how many pictures of each."""
    seen = []
    for frame in frames(path, 100_000, crop="4:4:0:0"):
        pixel = frame[1][1]
        seen.append(min(COLORS, key=lambda one: sum((a - b) ** 2 for a, b in zip(COLORS[one], pixel, strict=True))))
    return [(key, len(list(same))) for key, same in itertools.groupby(seen)]


def colors(paths: list[Path]) -> str:
    """The colours of all sessions."""
    return "".join(color for path in paths for color, _ in stretches(path))


def forms(path: Path) -> set[Form]:
    """What all sequence headers of a recording say."""
    data = path.read_bytes()
    tags: list[Tag] = []
    FlvReader().read(memoryview(data), 0, tags)
    return {form_of([(tag[0], bytes(tag[2]))]) for tag in tags if tag_kind(tag[0], tag[2]) == SEQUENCE_HEADER}


def assert_whole(path: Path) -> None:
    """Stamps rise, without a gap that would be seen, and each picture can be decoded."""
    for track in packets(path):
        assert_dts_strictly_rising(track)
        assert max_gap_ms(track) <= 250
    assert decode_errors(path) == ""


class Stage:
    """A service, its source, and where its tasks go."""

    def __init__(self, home: Path, nginx: NginxRtmp) -> None:
        self.home = home
        self.nginx = nginx
        self.red = film(home / "red.flv", "red", 10)
        self.service = self._start()

    def _start(self) -> ServiceProgram:
        settings = {
            "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
            "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
            "STREAMFERRY_WRITE_RATE": "0",
            "STREAMFERRY_LIST_RATE": "0",
        }
        arguments = ("--egress", "any", "--files", self.home)
        return ServiceProgram(self.home / "service", *arguments, environment=settings).wait_ready()

    def kill(self) -> None:
        """kill -9 all of the service, and start it again."""
        self.service.kill_tree()
        self.service = self._start()

    @property
    def rest(self) -> RestService:
        return RestService(self.service.url, KEY_ID, SECRET)

    def task(self, to: str, **fields: Any) -> str:
        """A task that streams the source to that address, but for what is given."""
        now = datetime.now(UTC)
        body = {
            "kind": "live",
            "sources": [{"url": self.nginx.url("red")}],
            "destination": to,
            "start_at": now.isoformat(),
            "end_at": (now + timedelta(hours=1)).isoformat(),
            **fields,
        }
        with self.rest as rest:
            return str(rest.create_task(body)["task_id"])  # type: ignore[arg-type]

    def show(self, task_id: str) -> dict[str, Any]:
        with self.rest as rest:
            return rest.get_task(task_id)["run"]  # type: ignore[return-value]

    def on_air(self, task_id: str) -> str:
        on_air = self.show(task_id)["on_air"]
        return "" if on_air is None else on_air["shown"]

    def wait_streaming(self, task_id: str) -> None:
        wait_for("it streams", lambda: self.show(task_id)["state"] == "streaming")

    def insert(self, task_id: str, clip: Path, in_s: float | None = None) -> None:
        at = None if in_s is None else datetime.now(UTC) + timedelta(seconds=in_s)
        with self.rest as rest:
            rest.insert_file(task_id, f"file://{clip}", at=at)

    def end(self, made: dict[str, str], nginx: NginxRtmp) -> None:
        """Let each show some more, and end them."""
        sent = {task_id: self.show(task_id)["bytes_out"] for task_id in made.values()}
        for name, task_id in made.items():
            wait_for("more of it", lambda task_id=task_id: self.show(task_id)["bytes_out"] > sent[task_id] + 20_000)
            with self.rest as rest:
                rest.delete_task(task_id)
            nginx.wait_unpublished(name, "rec")

    def begun(self, task_id: str) -> int:
        """How often something was inserted, by its events."""
        with self.rest as rest:
            events = rest.list_events(task_id=task_id, limit=1000)["events"]
        return Counter(one["detail"].get("to") for one in events if one["kind"] == "switched")["insert"]


@pytest.fixture
def stage(tmp_path: Path, nginx: NginxRtmp, publish: Callable[[Path, str], Publisher]) -> Iterator[Stage]:
    home = tmp_path / "stage"
    home.mkdir()
    stage = Stage(home, nginx)
    publish(stage.red, nginx.url("red"))
    nginx.wait_published("red")
    yield stage
    stage.service.stop()
    assert "Traceback" not in stage.service.errors


def test_a_file_is_played_over_each_kind_of_task_in_the_form_on_air(stage: Stage, nginx: NginxRtmp) -> None:
    """A live source that is alone, one with a watermark, one whose inputs are brought into one form, and a list: in one
    publish session each, with all of the file, and of another codec and size where its task says so."""
    green = film(stage.home / "green.mp4", "green", 4)
    unlike = film(stage.home / "unlike.mp4", "green", 4, *X265, "-ac", "1", "-ar", "48000", size="320x180")
    yellow = film(stage.home / "yellow.mp4", "yellow", 30)
    picture = make_picture(stage.home / "mark.png", "16x16", "white").read_bytes()
    data_url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    mark = {"picture": data_url, "x": 0.5, "y": 0.5, "ratio": 0.2}
    tasks = {
        "plain": ({}, green),
        "marked": ({"watermark": mark}, green),
        "one-form": ({"switching": {"normalize": "first"}}, unlike),
        "listed": ({"kind": "vod", "sources": [{"url": f"file://{yellow}"}]}, unlike),
    }
    made = {name: stage.task(nginx.url(name, app="rec"), **fields) for name, (fields, _) in tasks.items()}
    for name, task_id in made.items():
        stage.wait_streaming(task_id)
        stage.insert(task_id, tasks[name][1])
    for task_id in made.values():
        wait_for("the file", lambda task_id=task_id: stage.begun(task_id))
        wait_for("the end of the file", lambda task_id=task_id: stage.on_air(task_id) == "input")
        assert stage.show(task_id)["state"] == "streaming", stage.show(task_id)
    stage.end(made, nginx)
    for name in made:
        (recorded,) = nginx.recordings(name)
        assert_whole(recorded)
        (_, _), (color, count), (_, _) = stretches(recorded)
        assert (color, count) == ("g", 4 * FPS)
        assert forms(recorded) == {Form(video=VideoForm("h264", 160, 90)), Form(audio=AudioForm("aac", 44100, 2))}


@pytest.mark.parametrize("dies", ["worker", "destination"])
def test_no_file_is_played_twice_whatever_dies(stage: Stage, dies: str) -> None:
    """By kill -9 of the service, or a restart of the destination: right after a file, in the midst of one, at its time,
    and before it. What had not begun is played, what is on air then is the source."""
    short, long = film(stage.home / "short.mp4", "green", 2), film(stage.home / "long.mp4", "green", 12)
    far = NginxRtmp(stage.home / "far")
    far.start()
    try:
        made = {name: stage.task(far.url(name, app="rec")) for name in ("over", "midst", "starts", "later")}
        for task_id in made.values():
            stage.wait_streaming(task_id)
        stage.insert(made["over"], short)
        wait_for("the file", lambda: stage.begun(made["over"]))
        stage.insert(made["midst"], long)
        wait_for("the other", lambda: stage.begun(made["midst"]))
        wait_for("the end of the first", lambda: stage.on_air(made["over"]) == "input")
        stage.insert(made["later"], short, 20)
        stage.insert(made["starts"], short, 0)
        assert stage.on_air(made["midst"]) == "insert"
        if dies == "worker":
            stage.kill()
        else:
            far.stop()
            far.start()
        for name, task_id in made.items():
            wait_for(f"{name} again", lambda name=name: far.published(name, "rec"), 60)
            stage.wait_streaming(task_id)
        wait_for("the file that is due later", lambda: stage.begun(made["later"]), 60)
        for task_id in made.values():
            wait_for("the source", lambda task_id=task_id: stage.on_air(task_id) in ("", "input"))
            assert stage.show(task_id)["state"] == "streaming"
        times = {name: stage.begun(task_id) for name, task_id in made.items()}
        stage.end(made, far)
        seen = {name: [one for path in far.recordings(name) for one in stretches(path)] for name in made}
    finally:
        far.stop()
    assert {times[name] for name in ("over", "midst", "later")} == {1}
    assert times["starts"] <= 1
    for name, shown in seen.items():
        played = "".join(key for key, _ in itertools.groupby(color for color, _ in shown))
        assert played == "rgr" or (name == "starts" and played == "r"), name
    counts = {name: sum(count for color, count in shown if color == "g") for name, shown in seen.items()}
    assert counts["over"] == counts["later"] == 2 * FPS
    assert counts["midst"] < 12 * FPS
