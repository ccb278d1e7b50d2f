"""Events of a page that are sent again."""

from streamferry.web.dashboard.event_order import HeardEvents


def test_what_is_sent_again_is_heard_once() -> None:
    """Also after others; each document of a page numbers its own. What a stranger may cost is bounded."""
    heard = HeardEvents()
    told = [("a", 0), ("a", 1), ("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 0), ("b", 1)]
    assert [one for one in told if heard.is_new(*one)] == [("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 1)]
    assert all(heard.is_new(f"document-{number}", 0) for number in range(1000))
    assert heard.is_new("a", 0), "each of them is kept"
    assert not heard.is_new("a" * 200_000, 0), "sixteen of them are kept of a page"
