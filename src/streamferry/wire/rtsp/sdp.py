"""Session descriptions: which tracks a server has, in which format, and by which addresses they are asked for.

Specification: RFC 8866 (SDP), RFC 2326, C.1 (its use with RTSP), RFC 3551 (payload types without a description).
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: Tracks beyond these are not looked at; a camera has two or three.
MAX_MEDIA = 32
_MAX_LINES = 2000
_MAX_LINE_CHARS = 16 << 10
# RFC 3551, table 4 and 5: (encoding, clock rate, channels).
_STATIC = {
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    4: ("G723", 8000, 1),
    5: ("DVI4", 8000, 1),
    6: ("DVI4", 16000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    14: ("MPA", 90000, 1),
    15: ("G728", 8000, 1),
    18: ("G729", 8000, 1),
    26: ("JPEG", 90000, 1),
    31: ("H261", 90000, 1),
    32: ("MPV", 90000, 1),
    33: ("MP2T", 90000, 1),
    34: ("H263", 90000, 1),
}
_RTPMAP = re.compile(r"(\d{1,3})\s+([^/\s]+)(?:/(\d{1,7}))?(?:/(\d{1,2}))?")
_DEFAULT_RATE_HZ = 90_000


@dataclass(slots=True)
class Media:
    """One track. ``encoding`` in upper case; ``parameters``: of its format, names in lower case."""

    kind: str
    #: ``RTP/AVP``, or with encryption ``RTP/SAVP``.
    profile: str
    payload_type: int
    encoding: str = ""
    rate_hz: int = _DEFAULT_RATE_HZ
    channels: int = 1
    control: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    #: Pictures a second, 0 if that is not told.
    pictures_a_second: float = 0.0
    #: The loudspeaker of a camera, to which a client sends (ONVIF); or an ordinary track of a server that means itself.
    is_sendonly: bool = False


@dataclass(slots=True)
class Description:
    """A session: its own address, empty or ``*`` for that of the request, and its tracks."""

    control: str = ""
    media: list[Media] = field(default_factory=list)


def parse_description(data: bytes) -> Description:
    """Never raises: lines that say nothing are passed over."""
    description = Description()
    media: Media | None = None
    formats: list[int] = []
    for line in data.decode("utf-8", "replace").replace("\r", "\n").split("\n")[:_MAX_LINES]:
        kind, equals, value = line.strip()[:_MAX_LINE_CHARS].partition("=")
        value = value.strip()
        if not equals:
            continue
        if kind == "m":
            media, formats = _media(value)
            if media is not None and len(description.media) < MAX_MEDIA:
                description.media.append(media)
        elif kind == "a":
            name, _, told = value.partition(":")
            name, told = name.strip().lower(), told.strip()
            if media is not None:
                _tell(media, formats, name, told)
            elif name == "control":
                description.control = told
    return description


def _media(value: str) -> tuple[Media | None, list[int]]:
    """The track of an ``m=`` line and all its payload types; None if it names none."""
    words = value.split()
    if len(words) < 3:
        return None, []
    formats = [int(word) for word in words[3:] if word.isascii() and word.isdecimal() and len(word) <= 3]
    if not formats:
        # Data of an application, told by a name.
        return Media(words[0].lower(), words[2].upper(), -1), []
    media = Media(words[0].lower(), words[2].upper(), formats[0])
    if formats[0] in _STATIC:
        media.encoding, media.rate_hz, media.channels = _STATIC[formats[0]]
    return media, formats


def _tell(media: Media, formats: list[int], name: str, told: str) -> None:
    if name == "control":
        media.control = told
    elif name == "rtpmap" and (found := _RTPMAP.match(told)):
        # Of several formats the first one is sent; some servers describe none but another.
        if int(found[1]) != media.payload_type and (media.encoding or int(found[1]) not in formats):
            return
        media.payload_type, media.encoding = int(found[1]), found[2].upper()
        media.rate_hz = int(found[3] or 0) or media.rate_hz
        media.channels = int(found[4] or 1)
    elif name == "fmtp":
        number, _, parameters = told.partition(" ")
        if number.isascii() and number.isdecimal() and int(number[:4]) == media.payload_type:
            for one in parameters.split(";"):
                key, _, parameter = one.strip().partition("=")
                if key:
                    media.parameters[key.strip().lower()] = parameter.strip().strip('"')
    elif name == "framerate":
        try:
            rate = float(told)
        except ValueError:
            return
        # Less often is no step to count decoding times by.
        media.pictures_a_second = rate if 1 <= rate < 1000 else 0.0
    elif name == "sendonly":
        media.is_sendonly = True


def joined(base: str, control: str) -> str:
    """The address of a track, or of the session, by what the description says.

    Servers mean something that is appended, also to an address with a query, whatever RFC 1808 says.
    """
    if not control or control == "*":
        return base
    if "://" in control[:12]:
        return control
    if control.startswith("?"):
        return base.rstrip("/") + control
    return base.rstrip("/") + "/" + control.lstrip("/")


def without_user(url: str) -> str:
    """An address without its user info: it is repeated by some servers, and belongs in no request."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path


def host_of(url: str) -> str:
    """Host name of an address; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
