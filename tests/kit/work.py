"""How much work a call does, counted in steps of the interpreter: the same on every machine and under every load."""

import hashlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest


class TooMuchWork(BaseException):
    """The budget was used up; not an Exception, so that nothing under test can take it for a refusal."""


def count_steps(call: Callable[[], object], budget: int) -> int:
    """Bytecodes that the call runs, in all frames below it. Raises TooMuchWork beyond the budget.

    What ``call`` raises otherwise is of no interest here.
    """
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            steps += 1
            if steps > budget:
                raise TooMuchWork(f"more than {budget} steps")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Exception as refusal:
        del refusal
    finally:
        sys.settrace(before)
    return steps


class HashedBytes:
    """Counts the bytes that ``hashlib.sha256`` is given while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = hashlib.sha256

        def counting(data: bytes = b"", **options: Any) -> Any:
            self.count += len(data)
            return real(data, **options)

        monkeypatch.setattr(hashlib, "sha256", counting)
