"""What a server says, as it may be shown: on one line, not endless, without the secrets it may repeat."""

from urllib.parse import unquote

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.wire.amf0 import Amf0Value

# Characters of a server's text that are worth showing.
_MAX_SHOWN = 300
# Shorter ones keep nothing safe, and cutting them out would spoil every word.
_MIN_SECRET = 4


def shown(text: Amf0Value, secrets: list[str]) -> str:
    """Empty for what is no text."""
    if not isinstance(text, str):
        return ""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_SHOWN]


def secrets_of(url: MediaUrl, key: str, auth: str, app: str, more: list[str]) -> list[str]:
    """What must not be shown of a session: longest first, so that none is left in part."""
    name, _, query = key.partition("?")
    app_query = app.partition("?")[2]
    values = [field.partition("=")[2] for field in f"{url.query}&{query}&{auth}&{app_query}".split("&")]
    found = {key, name, url.query, query, auth, app_query, url.username, url.password, *values, *more}
    found |= {unquote(secret) for secret in found if secret}
    return sorted((secret for secret in found if secret and len(secret) >= _MIN_SECRET), key=len, reverse=True)
