"""The sandbox of a program that is not ours: what it may read, write, connect to and use up, and nothing else.

It needs no privileges and no system program. A short launcher in a fresh interpreter applies it to itself between fork
and exec, and then becomes the program:

    dies with the parent   prctl(2), PR_SET_PDEATHSIG
    limits                 setrlimit(2): memory, CPU, descriptors, file size, threads; no core
    PR_SET_NO_NEW_PRIVS    nothing with a set-user-ID bit helps it out
    Landlock               files and TCP ports: ``landlock``
    seccomp                system calls: ``seccomp``

The environment contains only what is given, and what is needed to find the program's libraries. If the kernel does not
support one of these, the others apply and that is logged once; if one fails, the program does not start.

A launcher costs 10 to 20 ms. ``preexec_fn`` would cost a fork of the whole process, and Python code between fork and
exec beside other threads. ``docs/decisions/0015-the-sandbox.md`` has the reasons and what each kind of child may do.
"""

import logging
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from streamferry.net import landlock
from streamferry.net.landlock import READ, RUN, WRITE, Access
from streamferry.net.sealed_file import sealed_file
from streamferry.net.seccomp import OWN_PID, Sockets, make_filter

#: A logger of its own, because commands that log nothing else show this.
log = logging.getLogger("streamferry.sandbox")

_GIB = 1 << 30
#: Threads and processes that its user may have, beyond all that the machine has when it starts: the kernel counts them
#: per user, so a tight limit would stop a growing service. It does not apply to root: use a cgroup there.
_MORE_THREADS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use up. ``cpu_s`` 0: unlimited."""

    memory_bytes: int = 2 * _GIB
    cpu_s: int = 0
    files: int = 64
    #: Size of a file that it writes; output to a pipe is not counted.
    file_bytes: int = 0


#: How much of a program's last output is kept, to report why it ended.
KEPT_LINES, KEPT_LINE_CHARS = 40, 300
#: For encoders: frames of 8192 pixels a side have 100 MB, and some forty are held. Most of the machine, not all of it.
ENCODING = Limits(memory_bytes=max(4 * _GIB, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4))


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a program may do, beside reading its libraries and writing to the pipes it is given.

    ``reads``: files, and folders with all beneath them. ``writes``: the same. ``runs``: what it may become by exec, as
    a script does. ``ports``: TCP ports it may connect to where ``sockets`` let it; None: all of them.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    sockets: Sockets = Sockets.NONE
    ports: tuple[int, ...] | None = ()
    limits: Limits = field(default_factory=Limits)
    niceness: int = 0

    @contextmanager
    def launch(self, program: str, arguments: Sequence[str]) -> Iterator["Launch"]:
        """The command that starts ``program`` in this sandbox. Raises OSError, mostly if there is no such program."""
        path = shutil.which(program)
        if path is None:
            raise FileNotFoundError(2, "No such file or directory")
        tell_missing()
        rules = [*_program_rules(path), *((one, RUN) for one in self.runs)]
        rules += [*((one, READ) for one in self.reads), *((one, WRITE) for one in self.writes)]
        if self.sockets is not Sockets.NONE:
            rules += [(one, READ) for one in _TRUST]
        if self.sockets is Sockets.TCP_AND_NAMES:
            rules += [(one, READ) for one in _NAMES]
        may_connect = self.sockets in (Sockets.TCP, Sockets.TCP_AND_NAMES)
        descriptors = [sealed_file(make_filter(self.sockets, writes=bool(self.writes)))]
        try:
            ruleset = landlock.make_ruleset(rules, self.ports if may_connect else ())
            if ruleset is not None:
                descriptors.append(ruleset)
            limits = self.limits
            numbers = (
                *(os.getpid(), self.niceness, limits.memory_bytes, limits.cpu_s, limits.files, limits.file_bytes),
                *(_MORE_THREADS, descriptors[0], -1 if ruleset is None else ruleset),
            )
            words = [sys.executable, "-I", "-S", "-c", _LAUNCHER, ",".join(map(str, numbers)), os.path.abspath(path)]
            yield Launch((*words, program, *arguments), tuple(descriptors))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        stdin: int,
        inherit: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
    ) -> "subprocess.Popen[bytes]":
        """Start ``program`` with pipes for its outputs; ``inherit``: descriptors it keeps. Raises OSError.

        ``environment``: in addition to what its libraries need.
        """
        with self.launch(program, arguments) as launch:
            return subprocess.Popen(
                launch.command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=new_session,
                pass_fds=(*inherit, *launch.descriptors),
                env=_environment_of(environment or {}),
            )

    def run(self, program: str, arguments: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
        """Run ``program`` to its end and return its output. Raises OSError."""
        with self.launch(program, arguments) as launch:
            return subprocess.run(
                launch.command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                pass_fds=launch.descriptors,
                env=_environment_of({}),
                check=False,
            )


@dataclass(frozen=True, slots=True)
class Launch:
    """A command, and the descriptors that its process must inherit (``pass_fds``)."""

    command: tuple[str, ...]
    descriptors: tuple[int, ...]


def _environment_of(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program in a sandbox: ``more``, and what locates its libraries and TLS authorities."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | dict(more)


def missing() -> str:
    """What this kernel lacks for a sandbox, as a sentence; empty if nothing."""
    version = landlock.abi()
    if not make_filter(Sockets.NONE, writes=False):
        return "this architecture has no filter of system calls here: ffmpeg is not kept from the network"
    if not version:
        return "this kernel has no Landlock (Linux 5.13): ffmpeg can read every file that this process can read"
    if version < landlock.NET_ABI:
        return "this kernel's Landlock has no rules for ports (Linux 6.7): ffmpeg can go round the proxy that feeds it"
    return ""


@cache
def tell_missing() -> None:
    """Log what is missing, once per process: when it launches its first program, or earlier."""
    if words := missing():
        log.warning("%s", words)


_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_LIBRARY_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_SCRIPT_FOLDERS = ("/bin", "/usr/bin", "/usr/local/bin")
# Authorities of TLS, where the distributions have them; never whole /etc/ssl, which has private keys as well.
_TRUST = (
    *("/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/gnutls", "/etc/pki/tls/certs"),
    *("/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates", "/usr/share/ca-certificates"),
    *("/usr/local/share/ca-certificates", "/etc/crypto-policies", "/usr/share/crypto-policies"),
    *(os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)),
)
_NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services")
_PT_INTERP = 3
_MAX_SCRIPT_BYTES = 64 << 10
_PATH_IN_SCRIPT = re.compile(rb""" "(/[^"$`]+)" | '(/[^']+)' | (/[^\s"'$`;|&<>()]+) """, re.VERBOSE)


@cache
def _program_rules(path: str) -> tuple[tuple[str, Access], ...]:
    """Files needed to start a program: itself, its loader and libraries, and for a script the system's programs."""
    own = (path, Access.EXECUTE | Access.READ_FILE)
    interpreter = _interpreter(path)
    if interpreter is None:
        return (own,)
    if (named := _programs_in_script(path)) is not None:
        inner = [rule for one in (interpreter, *named) for rule in _program_rules(one)]
        return (own, *((folder, RUN) for folder in _SCRIPT_FOLDERS), *inner)
    folders = (*_LIBRARY_FOLDERS, *filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    rules = [own, (interpreter, Access.EXECUTE | Access.READ_FILE), *((folder, READ) for folder in folders)]
    # Libraries elsewhere: next to the program, or in a package store.
    listed = subprocess.run(
        [interpreter, "--list", path], capture_output=True, stdin=subprocess.DEVNULL, check=False
    ).stdout.decode(errors="surrogateescape")
    libraries = [word for word in listed.split() if word.startswith("/")]
    known = tuple(f"{folder}/" for folder in folders)
    return (*rules, *((one, READ) for one in libraries if not one.startswith(known)))


def _programs_in_script(path: str) -> list[str] | None:
    """The programs that a script names by their whole paths; None if it is no script."""
    with open(path, "rb") as file:
        text = file.read(_MAX_SCRIPT_BYTES)
    if not text.startswith(b"#!"):
        return None
    words = [os.fsdecode(next(filter(None, found))) for found in _PATH_IN_SCRIPT.findall(text.partition(b"\n")[2])]
    return [word for word in words if word != path and os.path.isfile(word) and os.access(word, os.X_OK)]


def _interpreter(path: str) -> str | None:
    """What the kernel starts for a program: a script's interpreter, or the loader of dynamic libraries if it has any.

    ELF-64, 5 (program header), as both architectures have it: little-endian.
    """
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:2] == b"#!":
            file.seek(2)
            words = file.readline(255).split()
            return os.fsdecode(words[0]) if words else None
        if head[:4] != b"\x7fELF":
            return None
        (table_at,) = struct.unpack_from("<Q", head, 32)
        entry_bytes, entries = struct.unpack_from("<HH", head, 54)
        for number in range(entries):
            file.seek(table_at + number * entry_bytes)
            kind, _, at, _, _, size = struct.unpack("<IIQQQQ", file.read(40))
            if kind == _PT_INTERP:
                file.seek(at)
                return os.fsdecode(file.read(size).rstrip(b"\0"))
    return None


# What it imports is most of its cost: ``signal``, which brings ``enum`` and ``functools``, was a quarter of 28 ms.
# Arguments: numbers, the program's path, and its arguments from the 0th. PR_SET_PDEATHSIG is 1, PR_SET_NO_NEW_PRIVS 38,
# PR_SET_SECCOMP 22 with SECCOMP_MODE_FILTER 2, landlock_restrict_self 446. A parent that has died before the call will
# not die again: hence the check of its id. Its messages have the format of ffmpeg's own.
_LAUNCHER = f"""\
import ctypes, os, struct, sys
from resource import *
parent, niceness, memory, cpu, files, size, threads, filter, ruleset = map(int, sys.argv[1].split(","))
libc = ctypes.CDLL(None, use_errno=True)
number = ctypes.c_ulong
def checked(result):
    if result:
        code = ctypes.get_errno()
        sys.stderr.write("[fatal] the sandbox cannot be put on: %s\\n" % os.strerror(code))
        os._exit(126)
checked(libc.prctl(1, number({signal.SIGKILL:d}), number(0), number(0), number(0)))
if os.getppid() != parent:
    os._exit(1)
if niceness:
    os.nice(niceness)
limits = (RLIMIT_AS, memory), (RLIMIT_CPU, cpu), (RLIMIT_NOFILE, files), (RLIMIT_FSIZE, size), (RLIMIT_CORE, 0)
for kind, limit in limits:
    if kind != RLIMIT_CPU or limit:
        hard = getrlimit(kind)[1]
        setrlimit(kind, (limit, limit) if hard == RLIM_INFINITY else (min(limit, hard),) * 2)
try:
    with open("/proc/loadavg") as load:
        threads += int(load.read().split()[3].partition("/")[2])
except OSError:
    threads = 1 << 16
hard = getrlimit(RLIMIT_NPROC)[1]
setrlimit(RLIMIT_NPROC, (threads, threads) if hard == RLIM_INFINITY else (min(threads, hard),) * 2)
code = os.read(filter, 65536).replace({OWN_PID!r}, os.getpid().to_bytes(4, "little"))
os.close(filter)
checked(libc.prctl(38, number(1), number(0), number(0), number(0)))
if ruleset >= 0:
    checked(libc.syscall(446, ruleset, 0))
    os.close(ruleset)
os.environ.pop("LC_CTYPE", None)
if code:
    held = ctypes.create_string_buffer(code)
    checked(libc.prctl(22, number(2), struct.pack("@HP", len(code) // 8, ctypes.addressof(held)), number(0), number(0)))
try:
    os.execv(sys.argv[2], sys.argv[3:])
except OSError as error:
    sys.stderr.write("[fatal] the program cannot be started: %s\\n" % error.strerror)
    os._exit(127)
"""
