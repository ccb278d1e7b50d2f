"""The outermost layer of the command line: whatever goes wrong ends in one sentence and a status, never in a traceback.

It also handles standard streams that are closed, full, or cannot encode our output.
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable
from io import TextIOWrapper

from streamferry.cli.exit_status import ExitStatus

#: The statuses that shells use for a program that was ended by Ctrl-C, or whose reader has gone.
INTERRUPTED = 130
_READER_GONE = 141
#: How many of the innermost calls are shown for a bug of ours.
_FRAMES = 4


def guarded(command: Callable[[], object]) -> None:
    """Run the whole command line; leaves by SystemExit."""
    _mend_streams()
    status: object = ExitStatus.DONE
    words, unwritten = "", None
    try:
        command()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OSError as error:
        # An error without a file name is from a flush of our own output.
        unwritten = error if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO) else None
        words, status = explain(error)
    except BaseException as error:
        words, status = explain(error)
    # Flush here and not when the interpreter exits, where Python would print its own error.
    unwritten = unwritten or _flush()
    if unwritten is not None and unwritten.errno == errno.EPIPE:
        words, status = "", status or _READER_GONE
    elif unwritten is not None:
        words, status = f"standard output cannot be written: {unwritten.strerror}", ExitStatus.SERVICE
    if words:
        _say(f"streamferry: {words}")
    sys.exit(status)  # type: ignore[arg-type]


def _flush() -> OSError | None:
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def explain(error: BaseException) -> tuple[str, int]:
    """A sentence for the user, and the exit status. It contains no value of an internal error: it may be secret."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, UnicodeError):
        return "an argument, a name or a file holds bytes that are not UTF-8", ExitStatus.USAGE
    if isinstance(error, ValueError):
        return str(error), ExitStatus.USAGE
    if isinstance(error, OSError):
        return words_of(error), ExitStatus.USAGE
    if isinstance(error, ImportError) and error.name == "asyncpg":
        return "store: PostgreSQL needs the extra: pip install 'streamferry[postgresql]'", ExitStatus.USAGE
    if isinstance(error, ImportError):
        return f"the installation is not whole: {error.name or 'a module'} is missing", ExitStatus.SERVICE
    if isinstance(error, MemoryError):
        return "this machine has no memory left for it", ExitStatus.SERVICE
    if type(error).__module__.startswith("sqlalchemy."):
        # The driver's message; the library's would include the statement.
        words = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        return f"store: cannot be used: {words}", ExitStatus.SERVICE
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    place = " > ".join(f"{os.path.basename(one.filename)}:{one.lineno}" for one in frames)
    return f"a mistake of ours: please report these words: {type(error).__name__} at {place}", ExitStatus.SERVICE


def words_of(error: OSError) -> str:
    """The system's message, and which file it is about."""
    # The event loop puts addresses into strerror; errors of getaddrinfo, which have their own texts, are negative.
    number = error.errno or 0
    words = os.strerror(number) if number > 0 and " address " in (error.strerror or "") else error.strerror
    words = words or type(error).__name__
    names = [str(name) for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    return f"{' and '.join(names)}: {words}" if names else words


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # Where nobody can hear it.
        print(line, file=sys.stderr, flush=True)


def _mend_streams() -> None:
    """If a standard stream is closed, the next opened file would take its number: put the null device there."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if number and isinstance(stream, TextIOWrapper):
            # A terminal that cannot show Chinese gets escapes; the command does not fail.
            stream.reconfigure(errors="backslashreplace")
