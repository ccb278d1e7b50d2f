"""A visitor of the dashboard without a browser: what pages answer, before a script of theirs has run."""

import httpx

from kit.waiting import PATIENCE_S
from streamferry.client.trust import NOBODY


def visitor(base: str, *, language: str = "en") -> httpx.Client:
    """Somebody who is not signed in, and who reads pages in that language."""
    headers = {"accept": "text/html", "accept-language": language, "origin": base.rstrip("/")}
    base_url = f"{base}dashboard/"
    return httpx.Client(base_url=base_url, headers=headers, trust_env=False, timeout=PATIENCE_S, verify=NOBODY)


def send_form(client: httpx.Client, key: str, secret: str) -> httpx.Response:
    """Try to sign in; the client keeps the cookie if it may."""
    return client.post("sign-in", data={"access_key_id": key, "secret": secret})


def enter(client: httpx.Client, key: str, secret: str) -> None:
    """Begin a session."""
    answer = send_form(client, key, secret)
    assert answer.status_code == 303, answer.text
