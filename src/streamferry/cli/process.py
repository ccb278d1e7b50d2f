"""How a process of ours is set up, and runs its coroutine: on uvloop, with Ctrl-C and SIGTERM as a request to stop."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Literal, TypeVar

import uvloop

_T = TypeVar("_T")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Around the imports of a program that stays: they make no garbage, and what they make is never garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run(main: Coroutine[None, None, _T]) -> _T:
    """Run ``main`` to its end and return its value."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def on_interrupt(callback: Callable[[], object]) -> None:
    """Call ``callback`` at SIGINT and SIGTERM instead of dying; a second signal kills as usual."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def once() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        callback()

    for number in signals:
        loop.add_signal_handler(number, once)


def begin(log_level: str, log_format: Literal["human", "json"]) -> None:
    """Set up the process: hide its state, adopt processes that lose their parent, start the log.

    Files written from here on are readable by the owner only, even in folders that others can read.
    """
    from streamferry.net.process import be_init, hide
    from streamferry.service.log import start_log

    os.umask(0o077)
    hide()
    be_init()
    start_log(log_level, log_format)
