"""How a visitor wants to see the dashboard: language and theme, from cookies that a page's own switches set."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from streamferry.control.dashboard.texts import LANGUAGES

LANGUAGE_COOKIE = "streamferry_language"
THEME_COOKIE = "streamferry_theme"
#: Theme -> whether it is dark; None is as the browser has it.
THEMES: dict[str, bool | None] = {"auto": None, "light": False, "dark": True}


@dataclass(frozen=True, slots=True)
class Preferences:
    """``language`` is a key of ``LANGUAGES``, ``theme`` one of ``THEMES``."""

    language: str = "en"
    theme: str = "auto"

    @classmethod
    def of(cls, headers: Headers) -> "Preferences":
        """What the cookies say; for the language else what the browser asks for."""
        cookies = cookie_parser(headers.get("cookie", ""))
        language = cookies.get(LANGUAGE_COOKIE, "")
        theme = cookies.get(THEME_COOKIE, "")
        return cls(
            language if language in LANGUAGES else _accepted(headers.get("accept-language", "")),
            theme if theme in THEMES else "auto",
        )


def _accepted(header: str) -> str:
    """The first language of the list that we have; browsers put the preferred one first."""
    for part in header.split(","):
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return "en"
