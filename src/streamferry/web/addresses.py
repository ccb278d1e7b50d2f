"""Addresses as they may be shown: no front end shows a secret (decision 0005)."""

from streamferry.media.url import MediaUrl


def show_source(url: MediaUrl) -> str:
    """A source as it may be shown; a local file as the address that was given."""
    return url.shown


def show_callback(text: str) -> str:
    """A callback's address as it may be shown; empty for none."""
    return MediaUrl.parse(text).redacted if text else ""
