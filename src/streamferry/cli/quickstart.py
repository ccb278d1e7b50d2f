"""``streamferry quickstart``: a service with one task playing, on this machine only, and a link to watch it.

It uses only the settings given here, so that whatever the environment names stays untouched.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamferry.cli.clip import make_clip
from streamferry.cli.process import on_interrupt
from streamferry.cli.serve import begin_service, run_or_exit

if TYPE_CHECKING:
    from streamferry.config import Settings
    from streamferry.receiver import Receiver
    from streamferry.service.assembly import Entrance
    from streamferry.service.seed import Prepared

_HOST = "127.0.0.1"
_CLIP_S = 10
#: How many ports after the wanted one are tried.
_FURTHER_PORTS = 20
#: The link is shown after this even if nothing has arrived: the page then says why.
_PATIENCE_S = 30.0
#: Says where ffmpeg is, which may be needed; all our other variables are ignored.
_KEPT = ("STREAMFERRY_FFMPEG",)


def quickstart(
    folder: Annotated[Path, typer.Argument(help="Where everything is kept. Created if it does not exist.")] = Path(
        "streamferry-quickstart"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on; the next free one if taken.")] = 8080,
) -> None:
    """Try it out: a sample clip, a service, a receiver and a task that loops the clip, on this machine only.

    It prints a link that signs in once. Ctrl-C ends everything; run it again to resume. Delete the folder to remove it.
    """
    run_or_exit(_quickstart(folder.absolute(), port))


async def _quickstart(folder: Path, port: int) -> None:
    from streamferry.receiver import Receiver
    from streamferry.service.seed import prepare

    stopping = asyncio.Event()
    on_interrupt(stopping.set)
    _forget_settings()
    _make_folder(folder)
    with _held(folder):
        sample = await _sample(folder)
        free = _free_port(port)
        if free != port:
            _say(f"port {port} is taken: {free} is used instead")
        settings = _settings(folder, free)
        begin_service(settings)
        async with Receiver(_HOST) as receiver:
            prepared = await prepare(settings, sample, f"rtmp://{_HOST}:{receiver.port}/live/{sample.stem}")
            _write_key(folder, prepared, free)
            if not stopping.is_set():
                await _serve(settings, stopping, receiver, prepared, folder)
    _say(f"stopped. To go on: streamferry quickstart {folder}")


async def _serve(
    settings: "Settings", stopping: asyncio.Event, receiver: "Receiver", prepared: "Prepared", folder: Path
) -> None:
    from streamferry.service.assembly import serve

    opened: asyncio.Future[Entrance] = asyncio.get_running_loop().create_future()
    _say("starting the service ...")
    async with asyncio.TaskGroup() as group:
        guide = group.create_task(_guide(opened, receiver, prepared, folder), name="guide")
        await serve(settings, stopping, lambda _: None, opened.set_result)
        guide.cancel()


async def _guide(opened: "asyncio.Future[Entrance]", receiver: "Receiver", prepared: "Prepared", folder: Path) -> None:
    """Show a link once there is something to see, and a new one for each Enter."""
    entrance = await opened
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while not any(one.ended is None and one.meter.video.frames for one in receiver.streams):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    _say(f"the sample loops into a receiver on {_HOST}:{receiver.port}\n")
    page = f"/tasks/{prepared.task_id}"
    link = f"    {entrance.link(prepared.key.access_key_id, page)}"
    _say(f"Open this link in a browser on this machine. It signs you in once, within 10 minutes:\n\n{link}\n")
    if "SSH_CONNECTION" in os.environ:
        port = entrance.address.rpartition(":")[2]
        _say(f"From your own machine, first: ssh -L {port}:{_HOST}:{port} {socket.gethostname()}\n")
    _say(f"Another terminal:  . {folder}/key.env && streamferry task list")
    if not sys.stdin.isatty():
        _say("Ctrl-C ends everything.")
        return
    _say("Enter: another link.  Ctrl-C: stop everything.")
    async with _typed_lines() as lines:
        while True:
            await lines.get()
            _say(f"\n    {entrance.link(prepared.key.access_key_id, page)}\n")


@contextlib.asynccontextmanager
async def _typed_lines() -> AsyncIterator[asyncio.Queue[None]]:
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[None](1)
    descriptor = sys.stdin.fileno()

    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
        elif lines.empty():
            lines.put_nowait(None)

    loop.add_reader(descriptor, look)
    try:
        yield lines
    finally:
        loop.remove_reader(descriptor)


def _settings(folder: Path, port: int) -> "Settings":
    from streamferry.config import load_settings

    return load_settings(
        data_dir=folder / "data",
        cache_dir=folder / "cache",
        files=[folder],
        host=_HOST,
        port=port,
        # Its receiver is on this machine, which only this policy lets tasks reach. Nobody else can create tasks here.
        egress="any",
        workers=1,
        log_level="error",
    )


def _forget_settings() -> None:
    for name in [name for name in os.environ if name.startswith("STREAMFERRY_") and name not in _KEPT]:
        del os.environ[name]


async def _sample(folder: Path) -> Path:
    """The clip; it is complete or not there."""
    path = folder / "sample.mp4"
    if not path.exists():
        _say(f"making a sample clip of {_CLIP_S} s ...")
        await asyncio.to_thread(make_clip, path, _CLIP_S)
    return path


def _make_folder(folder: Path) -> None:
    """Make the folder. It must not belong to others, who could read it or redirect it. Raises ValueError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be made: {error.strerror}; give another folder") from None
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise ValueError(f"{folder}: belongs to another user, and a key is kept in it; give another folder")
    if found.st_mode & 0o022:
        raise ValueError(
            f"{folder}: other users may write into it, and a key is kept in it; chmod go-w it or give another folder"
        )


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Only one quickstart at a time may use a folder."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"a quickstart is running in {folder} already; give another folder for a second one") from None
    else:
        yield
    finally:
        os.close(descriptor)


def _free_port(wanted: int) -> int:
    """The wanted port, or the next free one."""
    for port in range(wanted, min(wanted + _FURTHER_PORTS, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port
    raise ValueError(f"--port: none of the {_FURTHER_PORTS} ports from {wanted} on is free; give another one")


def _write_key(folder: Path, prepared: "Prepared", port: int) -> None:
    """Write the key for commands in another terminal, as a file for a shell that only its owner can read."""
    lines = {
        "STREAMFERRY_URL": f"http://{_HOST}:{port}",
        "VOLC_ACCESSKEY": prepared.key.access_key_id,
        "VOLC_SECRETKEY": prepared.key.secret,
    }
    file = folder / "key.env"
    # Always a new file: an existing one may be readable by others, or a link.
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as text:
        text.writelines(f"export {name}={value}\n" for name, value in lines.items())


def _say(line: str) -> None:
    print(line, flush=True)
