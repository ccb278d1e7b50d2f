"""Heads of HTTP/1.1: how a request is written, and what that of a response says.

h11 judges what servers send. But live HLS asks for something each second or two, and most of what a request costs was
h11's work on a head of six plain lines. So a head that is written as nearly all are is read here, in time that grows
with its length alone. One that has anything else in it is left to h11, and what both read is read alike
(``tests/property/net/test_http_heads.py``).

Specification: RFC 9112, 3 to 6 (syntax, and how long a body is); RFC 9110, 5.5 (values).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What is neither visible nor white space. Names are made of the other characters (RFC 9110, 5.6.2).
_odd = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]").search
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_STATUS = re.compile(rb"HTTP/1\.([01]) ([2-5][0-9][0-9])(?: |\Z)").match
# Those that tell how long the body is: one of them, and once.
_LENGTH, _CODING, _CHUNKED = b"content-length", b"transfer-encoding", b"chunked"
_MAX_DIGITS = 19


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """``is_kept_by_default``: whether its server keeps the connection if it says nothing, as HTTP/1.1 does.

    ``fields``: the first value of each name, which is in lower case.
    """

    status: int
    is_kept_by_default: bool
    fields: Mapping[bytes, bytes]

    def value(self, name: bytes) -> str:
        """Of this field, empty if there is none."""
        return self.fields.get(name, b"").decode("utf-8", "replace")

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.fields.get(_CODING) == _CHUNKED

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, None if the head does not tell."""
        length = self.fields.get(_LENGTH)
        return int(length) if length and not self.is_chunked else None

    @property
    def is_kept(self) -> bool:
        """Whether its server keeps the connection, and it is told where the body ends (RFC 9112, 9.3).

        Where it is told in two ways, or in chunks by HTTP/1.0, servers in between may differ on that (RFC 9112, 6.1).
        """
        named = self.fields.get(b"connection", b"").lower()
        keeps = b"close" not in named if self.is_kept_by_default else b"keep-alive" in named
        if self.is_chunked:
            return keeps and self.is_kept_by_default and _LENGTH not in self.fields
        return keeps and self.content_length is not None


def request_head(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Raises ValueError for what cannot be part of one."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    text = "\r\n".join(lines)
    if not (text.isascii() and text.count("\n") == text.count("\r") == len(lines) - 1 and "\0" not in text):
        raise ValueError("a value that no head can have")
    return text.encode("ascii")


def plain_response(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """The final response whose head ``data`` begins with, and what follows it; None if h11 has to say what this is."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end or _odd(head) or not head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n"):
        return None
    first, *lines = head.split(b"\r\n")
    status = _STATUS(first)
    if status is None:
        return None
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name.translate(None, _TOKEN):
            return None
        if name not in fields:
            fields[name] = value.strip(b" \t")
        elif name in (_LENGTH, _CODING):
            return None
    length, coding = fields.get(_LENGTH), fields.get(_CODING)
    if length is not None and not (length.isdigit() and len(length) <= _MAX_DIGITS and coding is None):
        return None
    if coding is not None:
        if coding.lower() != _CHUNKED:
            return None
        fields[_CODING] = _CHUNKED
    return ResponseHead(int(status[2]), status[1] == b"1", fields), rest
