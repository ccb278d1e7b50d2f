"""The heads of a plain GET and of a plain answer, without h11: a live HLS source asks twice in a segment.

h11 takes some 200 us for the two, this 15. What is not as plain as servers write it is left to h11: whatever is read
here is read by h11 alike.

Specification: RFC 9112, 2 (messages), 3 (requests), 4 (responses), 5 (fields) and 6.3 (the length of a body).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import h11

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TARGET = re.compile(r"[!-~]+").fullmatch
_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [!-~](?:[ -~]*[!-~])?").fullmatch
_ANSWER = re.compile(rb"HTTP/1\.1 (20[06])(?: [ -~]*)?\r\n((?:%b:[ \t]*[!-~]?[ -~]*\r\n)+)\r\n" % _TOKEN).match
_WITH_A_BODY = frozenset(("content-length", "transfer-encoding", "expect", "upgrade"))
# As h11: larger heads are refused there.
_MOST_BYTES = 16 << 10
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch


@dataclass(slots=True)
class Head:
    """Of an answer. ``headers``: names in lower case, and values without white space around them."""

    status_code: int
    http_version: bytes
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, response: h11.Response) -> "Head":
        """What h11 has read."""
        return cls(response.status_code, response.http_version, list(response.headers))


def plain_get(target: str, headers: Collection[tuple[str, str]]) -> bytes | None:
    """A GET without a body, None for what h11 has to judge."""
    lines = [f"{name}: {value}" for name, value in headers]
    names = [name.lower() for name, _ in headers]
    if _TARGET(target) is None or not all(map(_FIELD, lines)):
        return None
    if names.count("host") != 1 or not _WITH_A_BODY.isdisjoint(names):
        return None
    return "\r\n".join((f"GET {target} HTTP/1.1", *lines, "", "")).encode("ascii")


def plain_answer(data: bytes) -> tuple[Head, bytes] | None:
    """The head of a 200 or 206 and what comes after it, None for what h11 has to judge."""
    found = _ANSWER(data, 0, _MOST_BYTES)
    if found is None:
        return None
    headers = []
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    lengths = [(name, value) for name, value in headers if name in (b"content-length", b"transfer-encoding")]
    if len(lengths) > 1:
        return None
    for name, value in lengths:
        if (_LENGTH(value) is None) if name == b"content-length" else value != b"chunked":
            return None
    return Head(int(found[1]), b"1.1", headers), data[found.end() :]
