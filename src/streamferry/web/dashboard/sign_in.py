"""Signing in and out: plain forms, so that nobody reaches the page framework before signing in.

The form sends an access key pair. It is compared in constant time, failures are made to wait (``control.sign_ins``),
and the answer never says which half was wrong. From this machine it may be the token of a link that signs in once.
"""

import asyncio
import logging
import time
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from streamferry.control.actions import Actions
from streamferry.control.sign_ins import MustWait, WrongKey
from streamferry.net.peers import LOOPBACK, is_within
from streamferry.store.records import KeyPair
from streamferry.tasks.actor import new_request_id
from streamferry.web.dashboard.links import SignInLinks
from streamferry.web.dashboard.preferences import LANGUAGE_COOKIE, Preferences
from streamferry.web.dashboard.session_gate import BASE, COOKIE, SIGN_IN, session_of, session_token
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import SESSION_S
from streamferry.web.dashboard.texts import LANGUAGES, Translate, translator

_log = logging.getLogger("streamferry.dashboard")

SIGN_OUT = f"{BASE}/sign-out"
_DOOR = "dashboard"
_MAX_FORM_BYTES = 8_192
_FORM_TIMEOUT_S = 10.0


class SignIn:
    """The handlers of ``GET`` and ``POST /sign-in`` and of ``POST /sign-out``."""

    def __init__(self, actions: Actions, sessions: SessionShelf, links: SignInLinks) -> None:
        self._actions = actions
        self._sessions = sessions
        self._links = links

    async def show(self, request: Request) -> Response:
        """The form; a visitor who is already signed in is redirected."""
        following = _following(request.query_params.get("next", ""))
        if session_of(request.scope) is not None:
            return RedirectResponse(following, 303)
        return _page(request, following)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, or show the form again with what is wrong."""
        form = await _read_form(request)
        key_id, following = form.get("access_key_id", "").strip(), _following(form.get("next", ""))
        host, now = request.client.host if request.client else "?", time.monotonic()
        sign_ins, asked = self._actions.sign_ins, {"peer": host, "request_id": new_request_id()}
        try:
            if "once" in form:

                def take() -> str | None:
                    return self._links.take(form["once"], now) if _is_here(request) else None

                known = await sign_ins.by_link(take, _DOOR, **asked, now=now)
            else:
                known = await sign_ins.by_secret(key_id, form.get("secret", "").strip(), _DOOR, **asked, now=now)
        except MustWait as error:
            return _page(request, following, key_id, "sign_in.wait", round(error.wait_s + 0.5))
        except WrongKey:
            _log.warning("a sign-in to the dashboard failed from %s", host)
            return _page(request, following, key_id, "sign_in.link_used" if "once" in form else "sign_in.wrong")
        return await self._begin(request, known, following)

    async def _begin(self, request: Request, known: KeyPair, following: str) -> Response:
        token = await self._sessions.begin(known.access_key_id, can_write=not known.read_only)
        answer = RedirectResponse(following, 303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=round(SESSION_S),
            path=BASE,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        await self._sessions.end(session_token(request.headers))
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE, path=BASE, httponly=True, samesite="lax")
        return answer


def _is_here(request: Request) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it."""
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    return is_within(request.client.host, LOOPBACK)


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    try:
        async with asyncio.timeout(_FORM_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > _MAX_FORM_BYTES:
                    return {}
    except TimeoutError:
        return {}
    fields = parse_qs(body.decode(errors="replace"), max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}


def _following(path: str) -> str:
    """Where to go after signing in: a path of the dashboard, never another site."""
    return path if path.startswith(f"{BASE}/") and not path.startswith((SIGN_IN, SIGN_OUT)) else f"{BASE}/"


def _page(request: Request, following: str, key_id: str = "", problem: str = "", wait_s: int = 0) -> Response:
    preferences = Preferences.of(request.headers)
    t = translator(preferences.language)
    words = t(problem, seconds=wait_s) if wait_s else t(problem) if problem else ""
    status = 429 if wait_s else 401 if problem else 200
    page = _PAGE.format(
        language=LANGUAGES[preferences.language][1],
        theme=preferences.theme,
        base=BASE,
        title=t("sign_in.title"),
        hint=t("sign_in.hint"),
        key_label=t("sign_in.key_id"),
        secret_label=t("sign_in.secret"),
        button=t("sign_in.button"),
        problem=f'<p class="sign-in-problem" role="alert">{escape(words)}</p>' if words else "",
        key_id=escape(key_id[:128], quote=True),
        following=escape(following, quote=True),
        languages=_languages(t, preferences.language),
    )
    headers = {"Retry-After": str(wait_s)} if wait_s else None
    return HTMLResponse(page, status, headers)


def _languages(t: Translate, present: str) -> str:
    """The other languages, as buttons that set the cookie and load the page again (``dashboard.js``)."""
    return "".join(
        f'<button type="button" lang="{tag}" data-cookie="{LANGUAGE_COOKIE}={code}">{name}</button>'
        for code, (name, tag) in LANGUAGES.items()
        if code != present
    )


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · streamferry</title>
<link rel="icon" href="{base}/static/icon.svg">
<link rel="stylesheet" href="{base}/static/dashboard.css">
<script src="{base}/static/dashboard.js" defer></script>
</head>
<body class="sign-in theme-{theme}">
<main>
<form method="post" action="{base}/sign-in" class="sign-in-card">
<h1><img src="{base}/static/icon.svg" alt="" width="28" height="28">streamferry</h1>
<p class="soft">{hint}</p>
{problem}
<label>{key_label}<input name="access_key_id" value="{key_id}" autocomplete="username" autocapitalize="off"
 spellcheck="false" required autofocus></label>
<label>{secret_label}<input name="secret" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{following}">
<button type="submit" class="sign-in-button">{button}</button>
</form>
<nav class="sign-in-languages">{languages}</nav>
</main>
</body>
</html>
"""
