"""What a web server's answer is, by its first bytes, and how one that is no stream is told.

A server that has nothing on air yet often answers with a page, a sentence in JSON or the playlist of the last show, and
all of them with 200. So such an answer is a refusal, which is asked again. What is shown of it is bounded, is one line
of printable characters, holds neither ``<`` nor ``>``, and nothing that is secret in the address.
"""

from collections.abc import Sequence

from streamferry.media.errors import SourceCorrupt
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg import redactor
from streamferry.reasons import Code, Reason, Value
from streamferry.wire.hls import GZIP_MAGIC, uncompressed

#: So many first bytes tell what it is. An FLV stream begins with as many before any tag (annex E.2).
LOOK_BYTES = 10

_BOM = b"\xef\xbb\xbf"
_PLAYLIST = b"#EXTM3U"
_SHOWN_CHARS, _SHOWN_BYTES, _TYPE_CHARS = 60, 8, 40
# Long enough that what is shown of it has lost every secret that begins in there.
_READ_BYTES = 2048
_MIN_SECRET = 4
_BRACKETS = str.maketrans("<>", "‹›")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def sent_secrets(options: PeerOptions, asked: MediaUrl) -> list[str]:
    """What is secret of a request to ``asked``, an address that the user may not have given."""
    values = [asked.query, *(one.partition("=")[2] for one in asked.query.split("&"))]
    return [*options.secrets, *(value for value in values if len(value) >= _MIN_SECRET)]


def is_playlist(begin: bytes) -> bool:
    """Whether it begins as a playlist does (RFC 8216, 4.3.1.1), or is compressed, which no stream is."""
    return begin.startswith(GZIP_MAGIC) or begin.removeprefix(_BOM).startswith(_PLAYLIST)


def not_a_stream(url: MediaUrl, content_type: str, begin: bytes, secrets: Sequence[str] = ()) -> SourceCorrupt:
    """The error for an answer of this type that begins like this; ``url`` as the user gave it.

    ``secrets``: what else is secret of what was sent. Of an answer that repeats any of it nothing is shown.
    """
    text = begin.decode("utf-8", "replace")
    if any(secret in text for secret in secrets):
        begin = b""
    return SourceCorrupt(
        Code.SOURCE_NOT_STREAM,
        url=url.redacted,
        type=_line(content_type, url)[:_TYPE_CHARS] or Reason.of(Code.SOURCE_NO_TYPE),
        begin=_shown(begin[:_READ_BYTES], url),
    )


def _shown(begin: bytes, url: MediaUrl) -> Value:
    if begin.startswith(GZIP_MAGIC):
        begin = uncompressed(begin, _READ_BYTES)
    if not begin:
        return Reason.of(Code.SOURCE_NOTHING_CAME)
    text = begin.decode("utf-8", "replace").removeprefix("\ufeff")
    if "\0" in text or text[:-1].count(_UNKNOWN) > len(text) // 8:
        return begin[:_SHOWN_BYTES].hex(" ")
    return _line(text, url)[:_SHOWN_CHARS] or Reason.of(Code.SOURCE_NOTHING_CAME)


def _line(text: str, url: MediaUrl) -> str:
    """The text in one line, without secrets, whole or cut short at its end."""
    text = redactor(url)(text)
    for secret in url.secrets:
        for length in range(min(len(secret) - 1, len(text)), _MIN_SECRET - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length]
                break
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.translate(_BRACKETS).split())
