"""How long a page may take, and how long it waits."""

from streamferry.web.dashboard.frame import Page


def test_a_page_may_take_its_time() -> None:
    """On a machine that is busy: after 3 s the page framework gave up, with status 500 and words of its own."""
    assert Page("/slow").response_timeout >= 30
