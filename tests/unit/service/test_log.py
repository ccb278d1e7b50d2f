"""The log of the service: each line whole and in its form, repeats bounded."""

import json
import logging
from collections.abc import Iterator

import pytest

from streamferry.service import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The log of the tests is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log._TALKATIVE}
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_json_lines_have_time_level_logger_and_task(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, an exception with its traceback among them."""
    log.start_log("info", "json")
    logger = logging.getLogger("streamferry.some")
    about = logging.LoggerAdapter(logger, {"task_id": "0af", "epoch": 2, "_of_a_library": 1})
    about.warning("the source of %s is silent", "a 台")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("a run failed")
    logger.debug("not told at this level")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "the source of a 台 is silent",
        "level": "warning",
        "logger": "streamferry.some",
        "task_id": "0af",
        "epoch": 2,
    }
    assert "RuntimeError: broken" in second["exception"]


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts on one line, without colours where no terminal is."""
    log.start_log("info", "human")
    logging.LoggerAdapter(logging.getLogger("streamferry.some"), {"task_id": "0af"}).warning("silent for %d s", 5)
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ("warning", "silent for 5 s", "streamferry.some", "task_id=0af"))
    assert "\x1b" not in line


def test_repeats_are_bounded_and_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five alike of a task a minute, whatever their values; then how many were left out. Others are not held back."""
    now = 0.0
    monkeypatch.setattr(log.time, "monotonic", lambda: now)
    log.start_log("info", "json")
    logger = logging.getLogger("streamferry.some")

    def tell(task: str, attempt: int) -> None:
        logging.LoggerAdapter(logger, {"task_id": task}).warning("attempt %d follows", attempt)

    for attempt in range(12):
        tell("one", attempt)
    tell("two", 0)
    now = 61.0
    tell("one", 12)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["task_id"] for line in lines] == ["one"] * 5 + ["two", "one"]
    assert [line.get("left_out") for line in lines] == [None] * 6 + [7]


def test_what_a_message_holds_ends_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is it obeyed by a terminal: words of peers and of libraries are logged, too."""
    logger = logging.getLogger("streamferry.some")
    planted = "a 台\n2026-01-01 [error    ] b\r\x1b[31m\x85\u2028\x00"
    for form in ("human", "json"):
        log.start_log("info", form)
        logger.warning("it said %s", planted, extra={"why": planted, "task_id": "0af"})
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        assert "a 台" in text
        assert not {"\x1b", "\r", "\x00"} & set(text)


def test_a_line_for_people_has_the_traceback_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    """And values that could be misread are quoted."""
    log.start_log("info", "human")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("streamferry.some").exception("a run failed", extra={"why": "a b=c", "tries": 3})
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("[error    ] a run failed [streamferry.some] tries=3 why='a b=c'")
    assert rest[0].startswith("Traceback ")
    assert rest[-1] == "RuntimeError: broken"
