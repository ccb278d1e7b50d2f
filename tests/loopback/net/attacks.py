"""What a program that was taken over would try, as a script without imports of ours: ``python -c``, run in a sandbox.

``sys.argv[1]`` is JSON: paths and ports to try. Printed is one JSON object: ``got`` for each attack that got through,
else the name of the error that stopped it.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys

given = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
PARENT = os.getppid()
NUMBERS = {
    "x86_64": {"ptrace": 101, "process_vm_readv": 310, "keyctl": 250, "bpf": 321, "unshare": 272, "mount": 165}
    | {"mq_open": 240, "mq_unlink": 241, "inotify_init": 294, "inotify_add_watch": 254, "vhangup": 153},
    "aarch64": {"ptrace": 117, "process_vm_readv": 270, "keyctl": 219, "bpf": 280, "unshare": 97, "mount": 40}
    | {"mq_open": 180, "mq_unlink": 181, "inotify_init": 26, "inotify_add_watch": 27, "vhangup": 58},
}[os.uname().machine] | {"io_uring_setup": 425, "pidfd_open": 434, "open_tree_attr": 467, "file_setattr": 469}


def syscall(name, *arguments):
    result = libc.syscall(NUMBERS[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def read(path):
    with open(path, "rb") as file:
        assert file.read(1)


def read_memory_of_parent():
    with open(f"/proc/{PARENT}/maps") as maps:
        begin = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{PARENT}/mem", "rb") as memory:
        memory.seek(begin)
        assert memory.read(1)


def copy_memory_of_parent():
    local = (ctypes.c_char * 8)()
    address = ctypes.addressof(local)
    with contextlib.suppress(OSError), open(f"/proc/{PARENT}/maps") as maps:
        address = int(maps.readline().split("-")[0], 16)
    here, there = ((ctypes.c_void_p * 2)(at, 8) for at in (ctypes.addressof(local), address))
    syscall("process_vm_readv", PARENT, here, ctypes.c_ulong(1), there, ctypes.c_ulong(1), ctypes.c_ulong(0))


def fork():
    if not os.fork():
        os._exit(0)
    os.wait()


def connect(port, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(socket.AF_INET, kind, protocol) as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", port))


def connect_while_sending(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.sendto(b"x", 0x20000000, ("127.0.0.1", port))


def listen():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()


def bind_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"x", ("127.0.0.1", 9))


def connect_unix():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(b"\0" + given["abstract"].encode())


def raise_a_limit():
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    resource.prlimit(PARENT, resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))


def take_memory():
    mmap.mmap(-1, 3 << 30)


def open_many():
    held = [os.dup(1) for _ in range(given["files"])]
    for one in held:
        os.close(one)


def own_a_pipe(command, argument):
    """Who owns a pipe or socket is sent a signal when something comes: any signal, by F_SETSIG."""
    import fcntl

    end, other = os.pipe()
    try:
        fcntl.fcntl(end, command, argument)
    finally:
        os.close(end)
        os.close(other)


def own_a_pipe_by_ioctl(number):
    import fcntl

    try:
        one = socket.socket()
    except OSError:
        one = socket.socket(type=socket.SOCK_DGRAM)
    with one:
        fcntl.ioctl(one, number, PARENT.to_bytes(4, sys.byteorder))


def lease():
    import fcntl

    with open(given["input"], "rb") as one:
        fcntl.fcntl(one, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def notify():
    import fcntl

    descriptor = os.open(given["folder"], os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_NOTIFY, fcntl.DN_ACCESS)
    finally:
        os.close(descriptor)


def change_flags(number, length):
    import fcntl

    with open(given["input"], "rb") as one:
        fcntl.ioctl(one, number, bytes(length))


def outlive_the_parent():
    if libc.prctl(1, *(ctypes.c_ulong(0),) * 4):
        raise OSError(ctypes.get_errno(), "prctl")


def take_orphans():
    if libc.prctl(36, *(ctypes.c_ulong(one) for one in (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "prctl")


def watch():
    descriptor = syscall("inotify_init", 0)
    try:
        syscall("inotify_add_watch", descriptor, given["secret"].encode(), ctypes.c_uint(0xFFF))
    finally:
        os.close(descriptor)


ATTACKS = {
    "read a file": lambda: read(given["secret"]),
    "follow a link out of a folder": lambda: read(given["link"]),
    "list a folder": lambda: os.listdir(os.path.dirname(given["secret"])),
    "read the parent's environment": lambda: read(f"/proc/{PARENT}/environ"),
    "read the parent's memory": read_memory_of_parent,
    "copy the parent's memory": copy_memory_of_parent,
    "open the parent's open file": lambda: read(f"/proc/{PARENT}/fd/{given['descriptor']}"),
    "list the parent's open files": lambda: os.listdir(f"/proc/{PARENT}/fd"),
    "trace the parent": lambda: syscall("ptrace", 0x4206, PARENT, 0, 0) and syscall("ptrace", 17, PARENT, 0, 0),
    "signal the parent": lambda: os.kill(PARENT, signal.SIGCONT),
    "signal the group": lambda: os.kill(0, signal.SIGCONT),
    "signal by descriptor": lambda: syscall("pidfd_open", PARENT, 0),
    "lower the parent's rank": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 1),
    "change limits": raise_a_limit,
    "write a file": lambda: open(given["new"], "x").close(),
    "write what can be read": lambda: open(given["input"], "ab").close(),
    "empty what can be read": lambda: os.close(os.open(given["input"], os.O_RDONLY | os.O_TRUNC)),
    "truncate what can be read": lambda: os.truncate(given["input"], 1),
    "make what can be read anybody's": lambda: os.chmod(given["input"], 0o666),
    "give it away": lambda: os.chown(given["input"], os.getuid(), os.getgid()),
    "change its times": lambda: os.utime(given["input"]),
    "make a folder": lambda: os.mkdir(given["new"] + "-folder"),
    "make a link": lambda: os.symlink(given["secret"], given["new"] + "-link"),
    "make a hard link": lambda: os.link(given["input"], given["new"] + "-hard"),
    "rename": lambda: os.rename(given["input"], given["input"]),
    "remove": lambda: os.unlink(given["spare"]),
    "connect": lambda: connect(given["port"]),
    "connect with multipath": lambda: connect(given["port"], protocol=262),
    "connect while sending": lambda: connect_while_sending(given["port"]),
    "connect to another port": lambda: connect(given["other_port"]),
    "listen": listen,
    "datagrams": bind_datagrams,
    "another process's socket": connect_unix,
    "a pair of sockets": lambda: [one.close() for one in socket.socketpair()],
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "fork": fork,
    "kernel keys": lambda: syscall("keyctl", 0, -3, 1),
    "BPF": lambda: syscall("bpf", 0, 0, 0),
    "rings": lambda: syscall("io_uring_setup", 1, (ctypes.c_char * 120)()),
    "name spaces": lambda: syscall("unshare", 0x04000000),
    "mounts": lambda: syscall("mount", b"none", b"/", None, ctypes.c_ulong(0x40000 | 0x4000), None),
    "much memory": take_memory,
    "many open files": open_many,
    "have the parent sent signals": lambda: own_a_pipe(8, PARENT),
    "have a thread sent signals": lambda: own_a_pipe(15, (1).to_bytes(4, sys.byteorder) + PARENT.to_bytes(4, "little")),
    "choose the signal": lambda: own_a_pipe(10, signal.SIGUSR1),
    "hold up who opens a file": lease,
    "have signals of a folder": notify,
    "have signals by FIOSETOWN": lambda: own_a_pipe_by_ioctl(0x8901),
    "have signals by SIOCSPGRP": lambda: own_a_pipe_by_ioctl(0x8902),
    "change a file's flags": lambda: change_flags(0x40086602, 8),
    "change a file's project": lambda: change_flags(0x401C5820, 28),
    "change a file's attributes": lambda: syscall(
        "file_setattr", -100, given["input"].encode(), bytes(24), ctypes.c_ulong(24), 0
    ),
    "a tree with attributes": lambda: os.close(syscall("open_tree_attr", -100, b"/", 1, bytes(32), ctypes.c_ulong(32))),
    "remove a message queue": lambda: syscall("mq_unlink", given["queue"].encode()),
    "watch a file": watch,
    "hang up the terminal": lambda: syscall("vhangup"),
    "outlive the parent": outlive_the_parent,
    "take orphans": take_orphans,
    "a terminal's input": lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"),
}

found = {}
for name in given["attacks"] or ATTACKS:
    try:
        ATTACKS[name]()
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, type(error).__name__)
    except Exception as error:
        found[name] = type(error).__name__
    else:
        found[name] = "got"
print(json.dumps(found))
