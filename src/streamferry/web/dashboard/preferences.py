"""How a visitor wants to see the dashboard: language, theme and time zone, from cookies that its pages set."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from streamferry.web.dashboard.texts import LANGUAGES

LANGUAGE_COOKIE = "streamferry_language"
THEME_COOKIE = "streamferry_theme"
#: Set by ``dashboard.js``, already on the sign-in form.
ZONE_COOKIE = "streamferry_zone"
#: Theme -> whether it is dark; None: as the browser is set.
THEMES: dict[str, bool | None] = {"auto": None, "light": False, "dark": True}


@dataclass(frozen=True, slots=True)
class Preferences:
    """``language`` is a key of ``LANGUAGES``, ``theme`` one of ``THEMES``."""

    language: str = "en"
    theme: str = "auto"
    zone: tzinfo = UTC

    @classmethod
    def of(cls, headers: Headers) -> "Preferences":
        """From the cookies; without one for the language, what the browser asks for."""
        cookies = cookie_parser(headers.get("cookie", ""))
        language = cookies.get(LANGUAGE_COOKIE, "")
        theme = cookies.get(THEME_COOKIE, "")
        return cls(
            language if language in LANGUAGES else _accepted(headers.get("accept-language", "")),
            theme if theme in THEMES else "auto",
            _zone(unquote(cookies.get(ZONE_COOKIE, ""))),
        )


def _accepted(header: str) -> str:
    """The first language of the list that we have; browsers put the preferred one first."""
    for part in header.split(","):
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return "en"


def _zone(name: str) -> tzinfo:
    """The browser's time zone, if this machine knows it."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
