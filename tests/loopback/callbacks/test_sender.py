"""One callback, posted to receivers of every manner."""

import asyncio
import ssl
import sys
from collections import deque
from datetime import UTC, datetime

import pytest
import trustme

import streamferry.cli  # noqa: F401 -- it says for all processes of ours what is not looked for
from kit.callback_receiver import Answer, CallbackReceiver
from kit.waiting import PATIENCE_S
from streamferry.control.callbacks.sender import (
    FAILURES,
    LONGEST_WAIT_S,
    REFUSALS,
    Sender,
    judge,
)
from streamferry.media.url import MediaUrl
from streamferry.net.retry_after import retry_after_s
from streamferry.worker.egress import Egress, decide_allow

SECRET = "planted-callback-token"


async def post(
    address: str, *, tls: ssl.SSLContext | None = None, egress: Egress = Egress.ANY, send_s: float = PATIENCE_S
) -> str | None:
    """What a sender says of it; never anything secret."""
    tls = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with Sender(tls=tls, allow=decide_allow(egress), send_s=send_s) as sender:
        failure = await sender.send(MediaUrl.parse(address), {"webhook-id": "evt_1"}, b'{"a":1}')
    problem = str(failure.problem) if failure else None
    assert SECRET not in (problem or "")
    return problem


async def test_a_receiver_gets_headers_body_and_the_whole_address() -> None:
    """Path, query and user info as the user gave them; any 2xx is success."""
    with CallbackReceiver(Answer(204)) as receiver:
        address = receiver.url(f"/hook?token={SECRET}").replace("http://", "http://user:word@")
        assert await post(address) is None
        (one,) = receiver.received
    assert one.target == f"/hook?token={SECRET}"
    assert one.body == b'{"a":1}'
    assert one.headers["webhook-id"] == "evt_1"
    assert one.headers["authorization"] == "Basic dXNlcjp3b3Jk"
    assert one.headers["host"] == MediaUrl.parse(receiver.url()).authority


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(500), "answered 500"),
        (Answer(404), "answered 404"),
        (Answer(manner="silent"), "did not answer within 1 s"),
        (Answer(manner="close"), "closed the connection without an answer"),
    ],
)
async def test_what_goes_wrong_is_a_sentence(answer: Answer, problem: str) -> None:
    """Within the deadline, and without the address's path and query."""
    with CallbackReceiver(answer) as receiver:
        send_s = 1.0 if answer.manner == "silent" else PATIENCE_S
        said = await post(receiver.url(f"/{SECRET}?token={SECRET}"), send_s=send_s)
        assert said is not None
        assert said.endswith(problem)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HERE = MediaUrl.parse("https://hooks.example/secret-path")


@pytest.mark.parametrize(
    ("statuses", "refusals"),
    [
        ((200, 201, 202, 204, 299), "taken"),
        ((408, 425, 429, 502, 503, 504), None),
        ((400, 401, 403, 404, 405, 413, 422, 451), REFUSALS),
        ((301, 302, 303, 307, 308), REFUSALS),
        ((500, 501, 505, 599), FAILURES),
    ],
)
def test_what_an_answer_means(statuses: tuple[int, ...], refusals: object) -> None:
    """Taken; no time now, so tried for a day; refused, so a few times; broken over this one, perhaps: some more."""
    for status in statuses:
        failure = judge(HERE, status, "", NOW)
        assert (failure.refusals if failure else "taken") == refusals
        assert failure is None or (
            f"answered {status}" in str(failure.problem) and "secret" not in str(failure.problem)
        )


def test_gone_is_the_end_of_an_address() -> None:
    """And says what brings it back."""
    failure = judge(HERE, 410, "", NOW)
    assert failure is not None
    assert failure.is_gone
    assert "until the task is updated" in str(failure.problem)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20", 20),
        (" 20 ", 20),
        ("0", 0),
        ("86400", LONGEST_WAIT_S),
        ("9" * 5_000, LONGEST_WAIT_S),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:05:05 -0000", 60),
        ("Fri, 02 Jan 2025 03:04:05 GMT", 0),
        ("Fri, 02 Jan 9999 03:04:05 GMT", LONGEST_WAIT_S),
        ("-5", 0),
        ("1.5", 0),
        ("\u0665", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    """Bounded; what cannot be read asks for nothing."""
    assert retry_after_s(text, LONGEST_WAIT_S, now=NOW) == seconds
    failure = judge(HERE, 503, text, NOW)
    assert failure is not None
    assert failure.wait_s == seconds


async def test_nobody_there() -> None:
    """A port on which nobody listens."""
    with CallbackReceiver() as receiver:
        address = receiver.url(f"/{SECRET}")
    assert (await post(address) or "").endswith("cannot be connected to")


async def test_an_answer_without_end_costs_nothing() -> None:
    """What has come of it is enough: it is not waited for, nor kept."""
    with CallbackReceiver(Answer(manner="drip")) as receiver:
        assert await post(receiver.url()) is None


async def test_redirects_are_not_followed() -> None:
    """They could lead past the policy, and hand the callback to somebody else."""
    with CallbackReceiver() as other, CallbackReceiver(Answer(307, location=other.url())) as receiver:
        assert (await post(receiver.url()) or "").endswith("answered 307, and redirects are not followed")
        assert other.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
async def test_the_egress_policy_holds_for_whatever_the_name_resolves_to(host: str) -> None:
    """Under the default policy nothing reaches this machine, however its address is written."""
    with CallbackReceiver() as receiver:
        problem = await post(receiver.url(host=host), egress=Egress.LAN)
        assert problem is not None
        assert "egress policy" in problem
        assert receiver.received == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would connect to what the policy refuses."""
    with CallbackReceiver() as proxy, CallbackReceiver() as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url(""))
        assert await post(receiver.url()) is None
        assert proxy.received == []


async def test_https_under_the_name_of_the_address() -> None:
    """The certificate is checked against the name, although the connection is made to an IP address."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with CallbackReceiver(tls=server) as receiver:
        assert await post(receiver.url(host="localhost"), tls=trusting) is None
        assert "certificate" in (await post(receiver.url(host="127.0.0.1"), tls=trusting) or "")
        assert "certificate" in (await post(receiver.url(host="localhost")) or "")
        assert len(receiver.received) == 1


async def test_an_attempt_looks_for_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore looked for one that is not installed at each request, in every folder: 1 ms of CPU."""
    looked_for: list[str] = []

    class Looking:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            looked_for.append(name)

    with CallbackReceiver() as receiver:
        assert await post(receiver.url()) is None
        monkeypatch.setattr(sys, "meta_path", [Looking(), *sys.meta_path])
        assert await post(receiver.url()) is None
    assert looked_for == []


async def test_many_at_once_do_not_wait_for_a_silent_one() -> None:
    """Each attempt has a connection of its own."""
    with CallbackReceiver(answers=deque([Answer(manner="silent")])) as receiver:
        async with Sender(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), allow=None, send_s=100.0) as sender:
            url = MediaUrl.parse(receiver.url())
            waiting = {asyncio.ensure_future(sender.send(url, {}, b"{}")) for _ in range(30)}
            said = []
            while len(said) < 29:
                done, waiting = await asyncio.wait(waiting, timeout=60.0, return_when=asyncio.FIRST_COMPLETED)
                assert done
                said += [one.result() for one in done]
            assert said == [None] * 29
            (silent,) = waiting
            silent.cancel()
            await asyncio.wait([silent])
