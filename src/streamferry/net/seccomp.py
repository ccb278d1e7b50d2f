"""Seccomp: a filter of system calls for programs that only read, compute and write to what they were given.

It refuses what such a program never needs and what would get it out of the sandbox or touch other processes: tracing,
signals to others, mounts and namespaces, kernel keys, BPF, io_uring, other users' identities, attributes of files,
processes of its own (threads are allowed), sockets except those its kind needs. A refused call returns an error
and kills nothing, because libraries try calls and do without. Landlock restricts files and ports; on a kernel without
it this is the only protection.

The filter is a program for the kernel's classic BPF machine. Specification: seccomp(2), bpf(4); system call numbers:
arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (aarch64).
"""

import errno
import os
import struct
from collections.abc import Iterable
from enum import Enum, auto
from functools import cache

#: Placeholder for the process's own id in a filter; the launcher replaces it.
OWN_PID = bytes.fromhex("5a1f0bed")


class Sockets(Enum):
    """Which sockets a program may create: IPv4 and IPv6 only, and never listening for connections."""

    NONE = auto()
    #: TCP connections.
    TCP = auto()
    #: TCP connections, and datagrams to resolve names.
    TCP_AND_NAMES = auto()
    #: Datagrams, from a port that may be chosen.
    UDP = auto()


# Codes of instructions: load a word of seccomp_data, and with a constant, jump if equal, above or any bit, return.
_LOAD, _AND, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# System calls of x32, which shares the architecture of x86-64 and counts from here.
_X32 = 0x40000000

# x86-64, aarch64; 0: the architecture has none. Refused whatever their arguments are.
_REFUSED: dict[str, tuple[int, int]] = {
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "fork": (57, 0),
    "vfork": (58, 0),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # System V IPC and message queues: one name space for all of a user's processes.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # The kernel: keys, programs, rings, modules, clocks.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "inotify_init": (253, 0),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, 0),
    "ioperm": (173, 0),
    "modify_ldt": (154, 0),
    "personality": (135, 92),
    # Mounts, roots and name spaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # Who it is, and what it may use.
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "setrlimit": (160, 164),
    # What Landlock does not ask about: attributes of files; links and truncating in its first versions.
    "chmod": (90, 0),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, 0),
    "fchown": (93, 55),
    "lchown": (94, 0),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, 0),
    "utimes": (235, 0),
    "futimesat": (261, 0),
    "utimensat": (280, 88),
    "truncate": (76, 45),
    "link": (86, 0),
    "linkat": (265, 37),
    "mknod": (133, 0),
    "mknodat": (259, 33),
    # Sockets, beside ``socket`` itself.
    "socketpair": (53, 199),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
}
# Their arguments are in memory, which a filter cannot read: the C library falls back on the older calls.
_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
# Refused to programs that write no files.
_TO_CHANGE_FOLDERS = {
    "creat": (85, 0),
    "mkdir": (83, 0),
    "mkdirat": (258, 34),
    "rmdir": (84, 0),
    "unlink": (87, 0),
    "unlinkat": (263, 35),
    "rename": (82, 0),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "symlink": (88, 0),
    "symlinkat": (266, 36),
}
_SOCKET, _BIND = (41, 198), (49, 200)
_CLONE, _TGKILL, _IOCTL, _PRLIMIT, _SETPRIORITY = (56, 220), (234, 131), (16, 29), (302, 261), (141, 140)
_OPEN, _OPENAT = (2, 0), (257, 56)
# With the number of the argument that has the flags.
_SENDS = ((44, 206), 3), ((46, 211), 2), ((307, 269), 3)

_CLONE_THREAD = 0x10000
# Connects without ``connect``; some kernels do not check that with Landlock.
_MSG_FASTOPEN = 0x20000000
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC.
_TO_WRITE = 0o1 | 0o2 | 0o100 | 0o1000
_FCNTL, _PRCTL = (72, 25), (157, 167)
# What libraries ask of pipes, sockets and terminals: close on exec or not, blocking or not, how much is there or not
# sent, whether it is a terminal and how wide, an interface's number. Others put characters into a terminal (TIOCSTI),
# have signals sent (FIOSETOWN, SIOCSPGRP), change attributes of files that can only be read (FS_IOC_SETFLAGS).
_IOCTLS = {
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
    "FIONBIO": 0x5421,
    "FIONREAD": 0x541B,
    "TIOCOUTQ": 0x5411,
    "TCGETS": 0x5401,
    "TCGETS2": 0x802C542A,
    "TIOCGWINSZ": 0x5413,
    "SIOCGIFINDEX": 0x8933,
}
# Signals that the kernel sends on request: any of them, to any process of the user. And leases, with which a reader
# of a file can delay others that open it.
_FCNTLS = {"F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "F_SETLEASE": 1024, "F_NOTIFY": 1026}
# To outlive the parent, to adopt others' orphans, to be traced by anybody, to look like another process.
_PRCTLS = {"PR_SET_PDEATHSIG": 1, "PR_SET_CHILD_SUBREAPER": 36, "PR_SET_PTRACER": 0x59616D61, "PR_SET_MM": 35}
_AF_INET, _AF_INET6 = 2, 10
_STREAM, _DATAGRAM, _TYPE_MASK = 1, 2, 0xF
_PROTOCOLS = {_STREAM: 6, _DATAGRAM: 17}

_Code = list[tuple[int, int, int, int]]


@cache
def make_filter(sockets: Sockets, *, writes: bool, machine: str = os.uname().machine) -> bytes:
    """The filter, with :data:`OWN_PID` in it; without ``writes`` no file can be opened for writing.

    Empty for an architecture that is not known here.
    """
    if machine not in _ARCHITECTURES:
        return b""
    architecture, column = _ARCHITECTURES[machine]
    code: _Code = [(_LOAD, 0, 0, _ARCH_AT), (_JEQ, 1, 0, architecture), _answer(_KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    if machine == "x86_64":
        code += [(_JGE, 0, 1, _X32), _answer(_KILL)]

    def rule(numbers: tuple[int, int], body: _Code) -> None:
        """``body`` ends with a verdict, and is skipped for other system calls."""
        if number := numbers[column]:
            code.extend([(_JEQ, 0, len(body), number), *body])

    refused = [_refuse(errno.EPERM)]
    for numbers in _REFUSED.values():
        rule(numbers, refused)
    for numbers in _UNKNOWN.values():
        rule(numbers, [_refuse(errno.ENOSYS)])
    rule(_CLONE, [_argument(0), (_JSET, 1, 0, _CLONE_THREAD), *refused, _answer(_ALLOW)])
    rule(_TGKILL, [_argument(0), (_JEQ, 1, 0, int.from_bytes(OWN_PID, "little")), *refused, _answer(_ALLOW)])
    # Its own limits can be read, not set: root could raise them.
    rule(_PRLIMIT, [*_unless_null(2, refused), _answer(_ALLOW)])
    rule(_SETPRIORITY, [*_unless_null(0, refused), *_unless_null(1, refused), _answer(_ALLOW)])
    rule(_IOCTL, [_argument(1), *_if_among(_IOCTLS.values(), _answer(_ALLOW)), *refused])
    rule(_FCNTL, [_argument(1), *_if_among(_FCNTLS.values(), *refused), _answer(_ALLOW)])
    rule(_PRCTL, [_argument(0), *_if_among(_PRCTLS.values(), *refused), _answer(_ALLOW)])
    if not writes:
        cannot = _refuse(errno.EACCES)
        for numbers in _TO_CHANGE_FOLDERS.values():
            rule(numbers, [cannot])
        for numbers, argument in ((_OPEN, 1), (_OPENAT, 2)):
            rule(numbers, [_argument(argument), (_JSET, 0, 1, _TO_WRITE), cannot, _answer(_ALLOW)])
    rule(_SOCKET, _decide_socket(sockets))
    if sockets is not Sockets.UDP:
        rule(_BIND, [_refuse(errno.EACCES)])
    for numbers, argument in _SENDS:
        rule(numbers, [_argument(argument), (_JSET, 0, 1, _MSG_FASTOPEN), _refuse(errno.EOPNOTSUPP), _answer(_ALLOW)])
    code.append(_answer(_ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _decide_socket(sockets: Sockets) -> _Code:
    """By family, type, and protocol: 0 or the usual one of the type; others, such as MPTCP, bypass Landlock."""
    cannot = _refuse(errno.EACCES)
    kinds = {
        Sockets.NONE: (),
        Sockets.TCP: (_STREAM,),
        Sockets.TCP_AND_NAMES: (_STREAM, _DATAGRAM),
        Sockets.UDP: (_DATAGRAM,),
    }[sockets]
    code: _Code = [_argument(0), (_JEQ, 2, 0, _AF_INET), (_JEQ, 1, 0, _AF_INET6), cannot]
    for kind in kinds:
        code += [_argument(1), (_AND, 0, 0, _TYPE_MASK), (_JEQ, 0, 5, kind), _argument(2)]
        code += [(_JEQ, 2, 0, 0), (_JEQ, 1, 0, _PROTOCOLS[kind]), cannot, _answer(_ALLOW)]
    return [*code, cannot]


def _argument(number: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * number)


def _if_among(values: Iterable[int], answer: tuple[int, int, int, int]) -> _Code:
    """Answer if what was loaded is one of the values."""
    return [instruction for value in values for instruction in ((_JEQ, 0, 1, value), answer)]


def _unless_null(number: int, refusal: _Code) -> _Code:
    """Refuse if either half of an argument is not 0."""
    low = _ARGUMENTS_AT + 8 * number
    return [(_LOAD, 0, 0, low), (_JEQ, 1, 0, 0), *refusal, (_LOAD, 0, 0, low + 4), (_JEQ, 1, 0, 0), *refusal]


def _answer(value: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, value)


def _refuse(error: int) -> tuple[int, int, int, int]:
    return _answer(_ERRNO | error)
