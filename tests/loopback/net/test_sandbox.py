"""The sandbox by itself, from inside: a program in it that does its worst, and ffmpeg with files that tell it to.

Nothing of ours judges anything here: no playlist is looked at, and ffmpeg's own guards are off. What is tried is tried
outside of the sandbox, too, where it has to get through: an attack that cannot work proves nothing.
"""

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit import programs
from kit.clips import ClipFactory
from streamferry.net import landlock, sandbox
from streamferry.net.sandbox import Limits, Sandbox
from streamferry.net.sealed_file import sealed_file
from streamferry.net.seccomp import Sockets, make_filter

ATTACKS = Path(__file__).with_name("attacks.py").read_text()
PYTHON = os.path.realpath(sys.executable)
#: For a Python that runs in a sandbox: its library.
LIBRARY = (sys.base_prefix, sys.prefix)
SECRET = b"s3al-key-s3al-key-s3al-key-s3al-key-s3al-key!!"

#: Not tried where nothing holds them back: they would change the machine or the test itself, or need root.
_NOT_FREE = frozenset(
    (
        *("trace the parent", "lower the parent's rank", "mounts", "packets", "name spaces", "rings", "kernel keys"),
        *("BPF", "connect with multipath", "connect while sending", "a terminal's input", "change limits"),
        *("much memory", "many open files", "hang up the terminal", "a tree with attributes"),
        *("change a file's attributes", "change a file's project", "change a file's flags"),
    )
)
_NETWORK = frozenset(
    (
        *("connect", "connect with multipath", "connect while sending", "connect to another port", "listen"),
        *("datagrams", "another process's socket", "a pair of sockets", "packets", "netlink"),
    )
)


@pytest.fixture
def given(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Secrets, and doors to try."""
    hidden, shown = tmp_path / "hidden", tmp_path / "shown"
    hidden.mkdir()
    shown.mkdir()
    secret, link = hidden / "seal.key", shown / "link"
    secret.write_bytes(SECRET)
    link.symlink_to(secret)
    for name in ("input", "spare"):
        (shown / name).write_bytes(b"media")
    abstract = f"streamferry-test-{os.getpid()}"
    descriptor = sealed_file(SECRET)
    queue = abstract.encode()
    mq_open, mq_unlink = {"x86_64": (240, 241), "aarch64": (180, 181)}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    os.close(libc.syscall(mq_open, queue, os.O_CREAT | os.O_RDWR, 0o600, None))
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(b"\0" + abstract.encode())
        unix.listen()
        yield {
            "secret": str(secret),
            "link": str(link),
            "folder": str(shown),
            "input": str(shown / "input"),
            "spare": str(shown / "spare"),
            "new": str(shown / "new"),
            "port": one.getsockname()[1],
            "other_port": other.getsockname()[1],
            "abstract": abstract,
            "descriptor": descriptor,
            "queue": abstract,
            "files": 200,
            "attacks": [],
        }
    libc.syscall(mq_unlink, queue)
    os.close(descriptor)


def attack(given: dict[str, Any], box: Sandbox | None) -> dict[str, str]:
    """What became of each attack."""
    words = ["-I", "-S", "-c", ATTACKS, json.dumps(given)]
    if box is None:
        done = subprocess.run([PYTHON, *words], capture_output=True, check=True, timeout=60)
    else:
        done = replace(box, reads=(*box.reads, *LIBRARY)).run(PYTHON, words)
    assert done.stderr == b""
    return dict(json.loads(done.stdout))


def through(found: dict[str, str]) -> set[str]:
    """Which attacks got through."""
    return {name for name, outcome in found.items() if outcome == "got"}


def test_nothing_gets_through(given: dict[str, Any]) -> None:
    """Of a program that may read one folder: no other file, no link out of it, no socket, no process, no kernel."""
    found = attack(given, Sandbox(reads=(given["folder"],)))
    assert through(found) == set()
    assert "EFAULT" not in found.values()  # That would be the kernel's word on an attack that is made wrongly.
    assert Path(given["input"]).read_bytes() == b"media"


def test_each_attack_would_get_through(given: dict[str, Any]) -> None:
    """Without the sandbox: what is tried is real."""
    names = json.loads(subprocess.check_output([PYTHON, "-I", "-S", "-c", _NAMES_OF_ATTACKS, ATTACKS]))
    found = attack(given | {"attacks": [name for name in names if name not in _NOT_FREE]}, None)
    assert {name: outcome for name, outcome in found.items() if outcome != "got"} == {}


_NAMES_OF_ATTACKS = """
import ast, json, sys
for node in ast.parse(sys.argv[1]).body:
    if isinstance(node, ast.Assign) and node.targets[0].id == "ATTACKS":
        print(json.dumps([key.value for key in node.value.keys]))
"""


def test_a_port_is_a_port(given: dict[str, Any]) -> None:
    """Who may connect to one port connects there, by TCP and by connect alone, and to no other."""
    found = attack(given, Sandbox(sockets=Sockets.TCP, ports=(given["port"],)))
    assert through(found) == {"connect"}


_CHANGES = """
import ctypes, mmap, os, sys
given = int(sys.argv[1])
def map_to_write(one):
    with mmap.mmap(one, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as held:
        held[:1] = b"!"
def make_a_map_writable(one):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
    begin = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, one, 0)
    if libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memset(begin, 33, 1)
ways = {
    "write": lambda one: os.pwrite(one, b"!", 0),
    "add": lambda one: os.pwrite(one, b"!", os.fstat(one).st_size),
    "map": map_to_write,
    "make a map writable": make_a_map_writable,
    "allocate": lambda one: os.posix_fallocate(one, 0, 1 << 16),
    "empty": lambda one: os.ftruncate(one, 0),
}
for name, way in ways.items():
    for again in (False, True):
        try:
            one = os.open(f"/proc/self/fd/{given}", os.O_RDWR) if again else given
            way(one)
        except (OSError, ValueError):
            continue
        print(name, "again" if again else "")
"""


@pytest.mark.parametrize("box", [None, Sandbox(), Sandbox(writes=("/proc", "/dev/shm"))], ids=["free", "box", "writes"])
def test_what_several_children_are_given_is_changed_by_none(box: Sandbox | None) -> None:
    """The authorities that TLS trusts are one file for all: who is taken over must not name its own to the others."""
    descriptor = sealed_file(SECRET)
    words = [PYTHON, "-I", "-S", "-c", _CHANGES, str(descriptor)]
    try:
        if box is None:
            done = subprocess.run(words, pass_fds=(descriptor,), capture_output=True, check=True)
        else:
            with replace(box, reads=LIBRARY).launch(words[0], words[1:]) as launch:
                done = subprocess.run(
                    launch.command, pass_fds=(descriptor, *launch.descriptors), capture_output=True, check=True
                )
        assert (done.stdout, done.stderr) == (b"", b"")
        assert os.pread(descriptor, 1 << 20, 0) == SECRET
    finally:
        os.close(descriptor)


def test_all_ports_are_no_datagrams(given: dict[str, Any]) -> None:
    """Who may connect anywhere still listens nowhere, and has no sockets of other kinds."""
    found = attack(given, Sandbox(sockets=Sockets.TCP, ports=None))
    assert through(found) == {"connect", "connect to another port"}


def test_datagrams_are_no_connections(given: dict[str, Any]) -> None:
    """SRT needs UDP, from a port of its own; TCP is none of its business."""
    assert through(attack(given, Sandbox(sockets=Sockets.UDP))) == {"datagrams"}


def test_who_may_write_writes_there_only(given: dict[str, Any], tmp_path: Path) -> None:
    """A scratch folder is one; what else can be read stays as it is."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    box = Sandbox(reads=(given["folder"],), writes=(str(scratch),), limits=Limits(file_bytes=1 << 20))
    assert through(attack(given | {"new": str(scratch / "new")}, box)) == {
        "write a file",
        "make a folder",
        "make a link",
    }
    assert Path(given["input"]).read_bytes() == b"media"


@pytest.mark.parametrize("version", range(1, 7))
def test_older_kernels_fence_what_they_can(
    given: dict[str, Any], version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version of Landlock keeps files; system calls do the rest, but for the ports of who may connect."""
    monkeypatch.setattr(landlock, "abi", lambda: version)
    assert through(attack(given, Sandbox(reads=(given["folder"],)))) == set()
    found = through(attack(given, Sandbox(sockets=Sockets.TCP, ports=(given["port"],))))
    assert found == {"connect"} | ({"connect to another port"} if version < landlock.NET_ABI else set())
    assert ("Linux 6.7" in sandbox.missing()) is (version < landlock.NET_ABI)


def test_without_landlock_files_can_be_read_and_nothing_else(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, no process, nothing written; and it is said."""
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    found = through(attack(given, Sandbox()))
    assert found.isdisjoint(_NETWORK)
    assert {name for name in found if not name.startswith(("read the", "list", "open the", "follow"))} == {
        "read a file"
    }
    assert "can read every file" in sandbox.missing()


def test_what_cannot_be_fenced_is_not_started(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that the kernel refuses is the end of it: the program does not run without."""
    monkeypatch.setattr(sandbox, "make_filter", lambda *_, **__: bytes.fromhex("ff") * 16)
    done = Sandbox(reads=LIBRARY).run(PYTHON, ["-I", "-S", "-c", "print('ran')"])
    assert (done.returncode, done.stdout) == (126, b"")
    assert b"[fatal] the sandbox cannot be put on: Invalid argument" in done.stderr


def test_limits() -> None:
    """Memory, time, and the size of a file."""
    box = Sandbox(reads=LIBRARY)
    for limits, code, status in (
        (Limits(memory_bytes=1 << 29), "bytearray(1 << 30)", 1),
        (Limits(cpu_s=1), "while True: pass", -9),
    ):
        done = replace(box, limits=limits).run(PYTHON, ["-I", "-S", "-c", code])
        assert done.returncode == status


_THREADS = """
import resource
most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
with open("/proc/loadavg") as load:
    print(most - int(load.read().split()[3].partition("/")[2]))
"""


def test_threads_are_limited() -> None:
    """To some thousands more than there are. The kernel does not hold root to it, so the limit itself is looked at."""
    box = Sandbox(reads=(*LIBRARY, "/proc/loadavg"))
    done = box.run(PYTHON, ["-I", "-S", "-c", _THREADS])
    assert done.stderr == b""
    assert 0 < int(done.stdout) < 10_000


def test_its_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours it has nothing but where its libraries and authorities are."""
    monkeypatch.setenv("STREAMFERRY_SEAL_KEY", SECRET.decode())
    monkeypatch.setenv("PGPASSWORD", SECRET.decode())
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    done = Sandbox(reads=LIBRARY).run(PYTHON, ["-I", "-S", "-c", _ENVIRONMENT])
    environment = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    assert environment == {"LD_LIBRARY_PATH": "/nonexistent", "SSL_CERT_FILE": "/nonexistent.pem"}


_ENVIRONMENT = (
    "print(open('/proc/self/environ').read(), end='')"
    if False
    else "import os; print(*[f'{k}={v}' for k, v in os.environ.items() if k != 'LC_CTYPE'], sep='\\0', end='')"
)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("sockets", Sockets)
def test_filters_are_well_formed(machine: str, sockets: Sockets) -> None:
    """Every jump lands inside, the last instruction answers; what an unknown machine gets is nothing."""
    code = list(struct.iter_unpack("<HBBI", make_filter(sockets, writes=False, machine=machine)))
    for at, (operation, if_true, if_false, _) in enumerate(code):
        if operation & 7 == 5:
            assert at + 1 + max(if_true, if_false) < len(code)
    assert code[-1][0] == 6
    assert make_filter(sockets, writes=False, machine="riscv64") == b""


# --- ffmpeg -----------------------------------------------------------------------------------------------------------

_RAW = ("-map", "0", "-c", "copy", "-f", "data", "pipe:1")
_OPEN_DOORS = ("-protocol_whitelist", "file,pipe,fd,concat,subfile,data,crypto,async,cache,http,tcp")
_FFMPEGS = [programs.ffmpeg(), *filter(None, [shutil.which("ffmpeg")])]


@pytest.fixture(params=_FFMPEGS, ids=["bundled", "system"][: len(_FFMPEGS)])
def ffmpeg(request: pytest.FixtureRequest) -> str:
    """The one that pip installs, and the system's, which has its libraries in many files."""
    return str(request.param)


def free(program: str, words: "list[str | Path]") -> bytes:
    """What ffmpeg writes where nothing holds it back."""
    command = [program, "-v", "error", "-nostdin", *map(str, words)]
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=60).stdout


def fenced(program: str, words: "list[str | Path]", box: Sandbox) -> bytes:
    """What it writes in the sandbox."""
    return box.run(program, ["-v", "error", "-nostdin", *map(str, words)]).stdout


def _flv_with(secret: bytes, clip: Path) -> tuple[bytes, bytes]:
    """What goes before and behind a secret to make it the body of a frame of sound in FLV."""
    whole = clip.read_bytes()
    at, tags = 13, []
    while at < len(whole):
        size = int.from_bytes(whole[at + 1 : at + 4])
        tags.append(whole[at : at + 11 + size + 4])
        at += 11 + size + 4
    half = len(tags) // 2
    size = len(secret) + 2
    head = b"\x08" + size.to_bytes(3) + tags[half][4:8] + b"\0\0\0" + b"\xaf\x01"
    return whole[:13] + b"".join(tags[:half]) + head, (size + 11).to_bytes(4) + b"".join(tags[half:])


def _playlist(*names: object) -> str:
    segments = "".join(f"#EXTINF:2,\n{name}\n" for name in names)
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{segments}#EXT-X-ENDLIST\n"


def _movie_of(path: Path, samples: int) -> bytes:
    """A QuickTime movie of 8 bit sound whose samples lie in another file, named by a Macintosh alias (``dref``)."""

    def box(name: bytes, *inside: bytes) -> bytes:
        data = b"".join(inside)
        return struct.pack(">I4s", len(data) + 8, name) + data

    def full(name: bytes, *inside: bytes) -> bytes:
        return box(name, bytes(4), *inside)

    # The volume and the absolute path, with colons, of type 2; what ffmpeg does not read is zero.
    mac = b"V" + str(path).replace("/", ":").encode()
    record = bytes(10) + b"\x01V" + bytes(26) + bytes(12) + b"\x01k" + bytes(62) + bytes(16) + bytes(4) + bytes(16)
    record += struct.pack(">HH", 2, len(mac)) + mac + bytes(len(mac) % 2) + struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", len(record) + 12, b"alis", 0) + record
    sound = struct.pack(">I4s6xH8xHHHHI", 36, b"raw ", 1, 1, 8, 0, 0, 8000 << 16)
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), sound),
        full(b"stts", struct.pack(">III", 1, samples, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, samples, 1)),
        full(b"stsz", struct.pack(">II", 1, samples)),
        full(b"stco", struct.pack(">II", 1, 0)),
    )
    information = box(b"minf", full(b"smhd", bytes(4)), box(b"dinf", full(b"dref", struct.pack(">I", 1), entry)), table)
    handler = full(b"hdlr", b"mhlrsoun", bytes(12), b"\0")
    header = full(b"mdhd", bytes(8), struct.pack(">IIHH", 8000, samples, 0, 0))
    track_header = full(b"tkhd", bytes(8), struct.pack(">III", 1, 0, samples), bytes(60))
    track = box(b"trak", track_header, box(b"mdia", header, handler, information))
    movie_header = full(b"mvhd", bytes(8), struct.pack(">II", 8000, samples), bytes(80))
    return box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", movie_header, track) + box(b"mdat", bytes(8))


class Crafted:
    """Files that bring a secret out, in ``folder``, which may be read; in ``hidden`` are the secrets."""

    def __init__(self, folder: Path, hidden: Path, clip: Path) -> None:
        self._folder = folder
        self._secret = hidden / "seal.key"
        self._secret.write_bytes(SECRET)
        before, behind = _flv_with(SECRET, clip)
        (folder / "a.flv").write_bytes(before)
        (folder / "b.flv").write_bytes(behind)
        self._private = hidden / "private.flv"
        self._private.write_bytes(before + SECRET + behind)

    def words(self, way: str) -> "list[str | Path]":
        """Arguments for ffmpeg."""
        folder, secret = self._folder, self._secret
        if way in ("a file", "concat:", "subfile:"):
            prefix = {"a file": "file:", "concat:": "concat:", "subfile:": "subfile,,start,0,end,0,,:"}[way]
            return ["-f", "data", "-i", f"{prefix}{secret}", *_RAW]
        if way == "a link":
            (folder / "link").symlink_to(secret)
            return ["-f", "data", "-i", folder / "link", *_RAW]
        if way == "a movie's data reference":
            (folder / "movie.mov").write_bytes(_movie_of(secret, len(SECRET)))
            return ["-enable_drefs", "1", "-use_absolute_path", "1", "-i", folder / "movie.mov", *_RAW]
        name, text = {
            "a playlist": ("list.m3u8", _playlist("a.flv", f"file://{secret}", "b.flv")),
            "a playlist in data:": ("", _playlist(f"file://{self._private}")),
            "a playlist with a link": ("list.m3u8", _playlist("a.flv", "link.flv", "b.flv")),
            "a script": ("script.ffconcat", f"ffconcat version 1.0\nfile '{self._private}'\n"),
        }[way]
        (folder / "link.flv").symlink_to(secret)
        address: str | Path = f"data:text/plain;base64,{b64encode(text.encode()).decode()}"
        if name:
            address = folder / name
            address.write_text(text)
        reading = ("-f", "concat", "-safe", "0") if way == "a script" else ("-f", "hls", "-allowed_extensions", "ALL")
        picky = ("-extension_picky", "0") if way != "a script" and self.picks else ()
        return [*_OPEN_DOORS, *reading, *picky, "-i", address, "-c", "copy", "-f", "flv", "pipe:1"]

    picks = True


WAYS = (
    *("a file", "concat:", "subfile:", "a link", "a movie's data reference", "a script"),
    *("a playlist", "a playlist in data:", "a playlist with a link"),
)


@pytest.mark.parametrize("way", WAYS)
def test_no_file_makes_ffmpeg_give_away_another(way: str, ffmpeg: str, clips: ClipFactory, tmp_path: Path) -> None:
    """Whatever the file is, and though all of ffmpeg's own doors are open."""
    folder, hidden = tmp_path / "shown", tmp_path / "hidden"
    folder.mkdir()
    hidden.mkdir()
    crafted = Crafted(folder, hidden, clips("two_seconds", ".flv"))
    crafted.picks = "extension_picky" in free(ffmpeg, ["-h", "demuxer=hls"]).decode(errors="replace")
    words = crafted.words(way)
    assert SECRET in free(ffmpeg, words)
    assert SECRET not in fenced(ffmpeg, words, Sandbox(reads=(str(folder),)))


def test_what_it_may_read_is_read(ffmpeg: str, clips: ClipFactory) -> None:
    """The same bytes come out in the sandbox as without."""
    clip = clips("two_seconds", ".flv")
    words: list[str | Path] = ["-i", clip, "-c", "copy", "-f", "flv", "pipe:1"]
    assert fenced(ffmpeg, words, Sandbox(reads=(str(clip),))) == free(ffmpeg, words)
    assert fenced(ffmpeg, words, Sandbox()) == b""


def test_a_session_description_opens_no_port(ffmpeg: str, tmp_path: Path) -> None:
    """RTP would come from anybody: such a file is refused at once, where it would wait for packets."""
    description = tmp_path / "any.sdp"
    description.write_text("v=0\nc=IN IP4 127.0.0.1\nm=audio 40002 RTP/AVP 0\n")
    doors = ("-v", "error", "-nostdin", "-protocol_whitelist", "file,udp,rtp")
    words = [*doors, "-i", str(description), "-f", "data", "pipe:1"]
    done = Sandbox(reads=(str(description),)).run(ffmpeg, words)
    assert done.returncode
    assert b"Permission denied" in done.stderr or b"bind failed" in done.stderr or b"Input/output" in done.stderr
