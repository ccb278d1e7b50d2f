"""Preparation processes, each forked from this one: it has imported already what every one of them would import.

Standard input is a socket. A message brings standard input, output and error of one; the answer is its exit status.
"""

import os
import socket
import sys
import traceback
from typing import NoReturn

from streamferry.prepare import preparation


def be_preparation(streams: list[int]) -> NoReturn:
    """The forked process: ``python -m streamferry.prepare.preparation`` from here on."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        preparation.main()
        sys.stdout.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def serve(asked: socket.socket) -> None:
    """One after the other, until nobody asks any more."""
    while True:
        message, streams, _, _ = socket.recv_fds(asked, 1, 3)
        if not message:
            return
        pid = os.fork()
        if not pid:
            be_preparation(streams)
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        asked.send(bytes([os.waitstatus_to_exitcode(status) & 255]))


if __name__ == "__main__":
    with socket.socket(fileno=os.dup(0)) as end:
        serve(end)
