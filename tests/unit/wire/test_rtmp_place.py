"""Place: where a redirect of an RTMP server leads."""

import pytest

from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.place import Place

HOME = Place.of(MediaUrl.parse("rtmp://h.example/live/key"))


@pytest.mark.parametrize(
    "redirect", ["//[", "//\u2100/app", "rtmp://\x9b31m\u202e.invalid/app", "http://h/a", "", "rtmp://"]
)
def test_what_is_no_place_leads_nowhere(redirect: str) -> None:
    """And raises nothing: it was an internal error, for ever."""
    place = HOME.follow(redirect, "key")
    assert place is None or place.server.host == "h.example"


def test_a_redirect_within_the_server_and_to_another() -> None:
    for redirect, host, app in (
        ("/other", "h.example", "other"),
        ("rtmp://b.example:1936/app", "b.example", "app"),
        ("rtmp://b.example/app/key", "b.example", "app"),
    ):
        place = HOME.follow(redirect, "key")
        assert place is not None
        assert (place.server.host, place.app) == (host, app)
