"""The requests of one connection: their numbers, the session, and the credentials that the server asks for.

One request is under way at a time, so its response is the next one that comes, whatever number it has: cameras are seen
that repeat another or none.

Specification: RFC 2326, 12.17 (CSeq), 12.37 (Session), 14 (authentication).
"""

from collections.abc import Callable

from streamferry.wire.rtsp.auth import Authenticator, parse_challenges
from streamferry.wire.rtsp.message import Message, serialize_request

#: RFC 2326, 12.37.
DEFAULT_TIMEOUT_S = 60.0
_MAX_SESSION_CHARS = 256
# Of ports; channels have less.
_MAX_NUMBER = 65_535


class Requests:
    """Of one client at one server."""

    def __init__(self, user: str | None, password: str, new_nonce: Callable[[], str], agent: str) -> None:
        """``user``: None if the address has none. ``new_nonce`` gives random characters."""
        self._user, self._password = user, password
        self._new_nonce = new_nonce
        self._agent = agent
        self._sequence = 0
        self._authenticator: Authenticator | None = None
        self._has_succeeded = False
        self._challenges = 0
        self._asked: tuple[str, str, dict[str, str]] | None = None
        #: As the server named it; empty before SETUP.
        self.session = ""
        self.timeout_s = DEFAULT_TIMEOUT_S

    @property
    def has_user(self) -> bool:
        """Whether there is somebody to log in as."""
        return self._user is not None

    def ask(self, method: str, url: str, fields: dict[str, str] | None = None) -> bytes:
        """The bytes of the next request."""
        self._challenges = 0
        return self._serialize(method, url, fields or {})

    def take(self, response: Message) -> bytes | None:
        """A response has come. Returns the same request with credentials, if that is to be sent now."""
        asked, self._asked = self._asked, None
        if response.status == 401 and asked is not None:
            return self._serialize(*asked) if self._meet(response) else None
        if 200 <= response.status < 300:
            self._has_succeeded = self._authenticator is not None
        if session := response.fields.get("session"):
            self._note_session(session)
        return None

    def _meet(self, response: Message) -> bool:
        """Whether the challenge can be met: by a first try, or after the server has let its own nonce grow old."""
        challenges = parse_challenges(response.fields.get("www-authenticate", ""))
        if self._user is None or not challenges or self._challenges >= 2:
            return False
        if self._authenticator is not None and not (self._has_succeeded or challenges[0].is_stale):
            return False
        self._challenges += 1
        self._has_succeeded = False
        self._authenticator = Authenticator(challenges[0], self._user, self._password, self._new_nonce())
        return True

    def _serialize(self, method: str, url: str, fields: dict[str, str]) -> bytes:
        self._sequence += 1
        self._asked = method, url, fields
        head = {"CSeq": str(self._sequence), "User-Agent": self._agent}
        if self.session:
            head["Session"] = self.session
        if self._authenticator is not None:
            head["Authorization"] = self._authenticator.authorization(method, url)
        return serialize_request(method, url, head | fields)

    def _note_session(self, text: str) -> None:
        name, *parameters = text.split("\n")[0].split(";")
        name = name.strip()
        if not name or len(name) > _MAX_SESSION_CHARS:
            return
        self.session = name
        for parameter in parameters:
            key, _, value = parameter.strip().partition("=")
            value = value.strip().strip('"')
            if key.lower() == "timeout" and value.isascii() and value.isdecimal() and int(value[:6]) > 0:
                self.timeout_s = float(value[:6])


def transport_of(text: str) -> dict[str, str]:
    """The parameters of a Transport field, names in lower case; ``""``: the profile and lower transport."""
    first, *parameters = text.split("\n")[0].split(",")[0].split(";")
    found = {"": first.strip().upper()}
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        found[name.lower()] = value.strip().strip('"')
    return found


def numbers_of(text: str) -> tuple[int, int] | None:
    """Two numbers that belong together, ``4-5``; a single one and the next. None for what is none."""
    first, _, last = text.partition("-")
    if (begin := _number(first)) is None:
        return None
    end = _number(last)
    return begin, begin + 1 if end is None else end


def _number(text: str) -> int | None:
    """Of a port or a channel; None for what is none."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else _MAX_NUMBER + 1
    return number if number <= _MAX_NUMBER else None
