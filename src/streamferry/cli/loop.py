"""How a command runs its coroutine: on uvloop where available, with Ctrl-C and SIGTERM as a request to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop

_T = TypeVar("_T")


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
