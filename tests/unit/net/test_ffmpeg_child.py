"""ffmpeg's words: what is read from them, and what is taken out of them. A shell script says them."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.ffmpeg import Ffmpeg, ffmpeg_program, redactor

URL = MediaUrl.parse("srt://me:p4ssword@example.com:9000?streamid=%23!::r=cam,m=request&passphrase=s3cret-word&mode=x")


@pytest.fixture
async def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Ffmpeg]]]:
    """``await saying(*lines)`` gives an ended child that has said the lines."""

    async def say(*lines: str) -> Ffmpeg:
        program = tmp_path / "ffmpeg"
        program.write_text("#!/bin/sh\nexec cat >&2 <<'END'\n" + "\n".join(lines) + "\nEND\n")
        program.chmod(stat.S_IRWXU)
        monkeypatch.setenv("STREAMFERRY_FFMPEG", str(program))
        child = Ffmpeg([], URL)
        async with asyncio.timeout(30):
            await asyncio.wait((child.ended,))
        child.close()
        return child

    yield say
    await end_all()


def test_the_program_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """STREAMFERRY_FFMPEG goes before the bundled one."""
    monkeypatch.setenv("STREAMFERRY_FFMPEG", "/opt/ffmpeg")
    assert ffmpeg_program() == "/opt/ffmpeg"
    monkeypatch.delenv("STREAMFERRY_FFMPEG")
    assert os.access(ffmpeg_program(), os.X_OK)


@pytest.mark.parametrize(
    "words",
    [
        "Opening 'srt://example.com:9000?passphrase=s3cret-word' for reading",
        "passphrase s3cret-word, stream #!::r=cam,m=request of me with p4ssword",
        "streamid=%23!::r=cam,m=request",
    ],
)
def test_no_secret_is_kept(words: str) -> None:
    """Whole addresses, and each secret by itself, as written and decoded."""
    kept = redactor(URL)(words)
    for secret in ("s3cret", "r=cam", "p4ssword"):
        assert secret not in kept


def test_short_values_are_no_secrets() -> None:
    """Taking out ``x`` would make words unreadable."""
    assert redactor(URL)("mode x is unknown") == "mode x is unknown"


async def test_the_first_failure_is_the_reason(saying: Callable[..., Awaitable[Ffmpeg]]) -> None:
    """Not what follows from it, and without ffmpeg's memory addresses."""
    child = await saying(
        "[info] Input #0, concat, from 'pipe:0':",
        "[tcp @ 0x55d1c34d9000] [error] Connection to tcp://10.0.0.1:554 failed: Connection refused",
        "[in#0 @ 0x55d1c34c1dc0] [error] Error opening input: Connection refused",
        "[fatal] Error opening input files: Connection refused",
    )
    assert child.complaint == "Connection to (address) failed: Connection refused"
    assert child.refusal is None


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("[http @ 0x7fa34000a400] [warning] HTTP error 403 Forbidden", "it answered 403 Forbidden"),
        ("[in#0 @ 0x55] [error] method DESCRIBE failed: 404 Not Found", "it answered 404 Not Found"),
        (
            "[hls @ 0x55] [warning] Server returned 401 Unauthorized (authorization failed)",
            "it answered 401 Unauthorized",
        ),
        (
            "19:00:26.0/SRT:RcvQ:w1!W:SRT.cn: @4: rejecting per reception of a rejection HS response: ERROR:BADSECRET",
            "it refused the connection (BADSECRET)",
        ),
    ],
)
async def test_refusals(saying: Callable[..., Awaitable[Ffmpeg]], line: str, refusal: str) -> None:
    """What the peer answered is told in one form, whatever the protocol."""
    assert str((await saying(line)).refusal) == refusal


async def test_codecs_of_the_input(saying: Callable[..., Awaitable[Ffmpeg]]) -> None:
    """Those before the output, each once: what ffmpeg makes of them is not asked for."""
    child = await saying(
        "[info]   Stream #0:0[0x100]: Video: mpeg2video (Main) ([2][0][0][0] / 0x0002), yuv420p, 320x180",
        "[info]   Stream #0:1[0x101](eng): Audio: ac3, 48000 Hz, stereo, fltp, 192 kb/s",
        "[info] Stream mapping:",
        "[info]   Stream #0:0: Video: h264, yuv420p",
    )
    assert child.input_codecs == [("Video", "mpeg2video"), ("Audio", "ac3")]


@pytest.mark.parametrize(("previous", "current", "went_back"), [(5025, 40, True), (5025, 5020, False)])
async def test_time_that_jumps_back(
    saying: Callable[..., Awaitable[Ffmpeg]], previous: int, current: int, went_back: bool
) -> None:
    """A jump back is noticed; jitter, which the muxer evens out, is none."""
    line = f"[flv @ 0x5] [warning] Non-monotonic DTS; previous: {previous}, current: {current}; changing to {previous}."
    assert (await saying("[info] Stream mapping:", line)).stamps_went_back is went_back
