"""Sessions and the throttle on guessing."""

from streamferry.control.login_throttle import FREE_FAILURES, FREE_FAILURES_OF_PEER, LoginThrottle, is_same_secret
from streamferry.web.dashboard.sessions import SESSION_S, Sessions


def test_a_token_finds_its_session_until_it_runs_out() -> None:
    """And no other token does."""
    sessions = Sessions()
    token = sessions.begin("AK1", can_write=True, now=100.0)
    found = sessions.find(token, 101.0)
    assert found is not None
    assert found.access_key_id == "AK1"
    assert sessions.find(token + "x", 101.0) is None
    assert sessions.find("", 101.0) is None
    assert sessions.find(token, 100.0 + SESSION_S) is None


def test_an_open_page_sees_that_its_session_was_ended() -> None:
    """Whoever signed out in another tab can do nothing more in this one."""
    sessions = Sessions()
    token = sessions.begin("AK1", can_write=True, now=0.0)
    kept = sessions.find(token, 1.0)
    assert kept is not None
    sessions.end(token)
    assert not kept.is_live(1.0)
    assert sessions.find(token, 1.0) is None


def test_sessions_end_with_their_key() -> None:
    """A key that was disabled, or that may only read from now on, takes its sessions with it."""
    sessions = Sessions()
    tokens = {name: sessions.begin(name, can_write=True, now=0.0) for name in ("kept", "gone", "demoted")}
    tokens["later"] = sessions.begin("later", can_write=True, now=1.0)
    sessions.keep_only({"kept": True, "demoted": False}, 0.5)
    assert [name for name, token in tokens.items() if sessions.find(token, 1.0)] == ["kept", "later"]


def test_failures_wait_longer_each_time() -> None:
    """A few are free; then the wait doubles, up to a bound, and success forgives. Others are not concerned."""
    throttle = LoginThrottle()
    waits = []
    for _ in range(FREE_FAILURES + 12):
        throttle.fail("192.0.2.1", "AK", 0.0)
        waits.append(throttle.wait_s("192.0.2.1", "AK", 0.0))
    assert waits[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert waits[FREE_FAILURES : FREE_FAILURES + 3] == [15.0, 30.0, 60.0]
    assert waits[-1] == 900.0
    assert throttle.wait_s("192.0.2.2", "AK", 0.0) == 0.0
    assert throttle.wait_s("192.0.2.1", "other", 0.0) == 0.0
    throttle.forgive("192.0.2.1", "AK")
    assert throttle.wait_s("192.0.2.1", "AK", 0.0) == 0.0


def test_a_network_of_ipv6_is_one_guesser() -> None:
    """Its 2^64 addresses were as many peers, each with guesses of its own."""
    throttle = LoginThrottle()
    for number in range(FREE_FAILURES + 1):
        throttle.fail(f"2001:db8::{number:x}", "AK", 0.0)
    assert throttle.wait_s("2001:db8::ffff", "AK", 0.0) > 0
    assert throttle.wait_s("2001:db8:0:1::1", "AK", 0.0) == 0.0


def test_made_up_names_washed_away_what_was_remembered() -> None:
    """They make the whole peer wait long before that; and a key of one's own does not make up for it."""
    throttle = LoginThrottle()
    for _ in range(FREE_FAILURES + 8):
        throttle.fail("192.0.2.1", "AK", 0.0)
    tried = 0
    while throttle.wait_s("192.0.2.1", f"made-up-{tried}", 0.0) == 0.0:
        throttle.fail("192.0.2.1", f"made-up-{tried}", 0.0)
        throttle.forgive("192.0.2.1", "my own")
        tried += 1
        assert tried <= FREE_FAILURES_OF_PEER
    assert throttle.wait_s("192.0.2.1", "AK", 0.0) == 900.0
    assert throttle.wait_s("192.0.2.2", "AK", 0.0) == 0.0


def test_an_hour_later_failures_are_forgotten() -> None:
    """Somebody who mistypes now and then is not made to wait for it."""
    throttle = LoginThrottle()
    for hour in range(2 * FREE_FAILURES):
        throttle.fail("192.0.2.1", "AK", hour * 3601.0)
        assert throttle.wait_s("192.0.2.1", "AK", hour * 3601.0) == 0.0


def test_a_secret_is_right_or_wrong() -> None:
    """Whatever characters it holds."""
    assert is_same_secret("ri\u00e9ht", "ri\u00e9ht")
    assert not is_same_secret("wrong", "right")
    assert not is_same_secret("", "right")
