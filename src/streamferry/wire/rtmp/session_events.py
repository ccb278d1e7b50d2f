"""What the RTMP sessions tell their driver. Values that hold secrets are kept out of ``repr``."""

from dataclasses import dataclass, field

from streamferry.media.tag import Tag
from streamferry.wire.amf0 import Amf0Value


@dataclass(frozen=True, slots=True)
class PublishAccepted:
    """Client: the server takes the stream, media may be sent."""


@dataclass(frozen=True, slots=True)
class PlayAccepted:
    """Client: the server plays the stream; its media comes."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Client: the server refused the connection, the stream or the play. Keys and passwords are removed from both.

    ``wants_login``: because of the user and password, which are wrong or missing.
    """

    code: str
    description: str
    wants_login: bool = False


@dataclass(frozen=True, slots=True)
class AuthenticationRequired:
    """Client: the server wants another connection, whose session is given this ``auth``."""

    auth: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redirected:
    """Client: the server wants the session at another place, see ``Place.follow``."""

    redirect: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """Client: the server ended a publish or play it had accepted. ``reason`` is a status code or event name."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectRequested:
    """Server: a client wants to connect. Answer with ``accept`` or ``reject``."""

    app: str = field(repr=False)
    tc_url: str = field(repr=False)
    values: dict[str, Amf0Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """Server: the client wants to publish. Answer with ``accept`` or ``reject``."""

    app: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """Server: the client wants to play. Answer with ``accept`` or ``reject``."""

    app: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TagsReceived:
    """Server: media of the publisher, in order."""

    tags: list[Tag] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Server: the publisher ended its stream."""


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """Server: the player closed its stream."""


ClientEvent = PublishAccepted | PlayAccepted | Rejected | AuthenticationRequired | Redirected | StreamEnded
ServerEvent = ConnectRequested | PublishRequested | PlayRequested | TagsReceived | Unpublished | PlayEnded
