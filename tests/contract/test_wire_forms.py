"""The bytes that clients without a Python or Node SDK send: raw requests over a plain socket."""

import base64
import hashlib
import http.client
import json
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from served import Served

from streamferry.client import Credentials
from streamferry.client.signing import canonical_query, sign_request

QUERY = {"Action": "ListPullToPushTask", "Version": "2023-01-01"}


def signed(served: Served, body: bytes, method: str = "POST") -> dict[str, str]:
    credentials = Credentials(served.ak, served.sk)
    now = datetime.now(UTC)
    headers = sign_request(
        credentials, method=method, host=served.host, query=QUERY, body=body, region="ap-singapore-1", now=now
    )
    return {"Host": served.host, **headers}


def exchange(served: Served, request: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes, and read the answer."""
    host, _, port = served.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        status, body = response.status, json.loads(response.read())
        response.close()
    return status, body


def head(method: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} /?{canonical_query(QUERY)} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def test_a_chunked_body_without_a_length(served: Served) -> None:
    """As the Go SDK sends it over HTTP/1.1: the region is echoed, any region will do."""
    body = b'{"Page": 1, "Size": 5}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    request = head("POST", {**signed(served, body), "Transfer-Encoding": "chunked"}) + chunks
    status, answer = exchange(served, request)
    assert (status, answer["Result"]["Pagination"]["PageSize"]) == (200, 5)
    assert answer["ResponseMetadata"]["Region"] == "ap-singapore-1"


def test_a_get_with_a_content_type_and_no_body(served: Served) -> None:
    """As the Java SDK sends its lists."""
    headers = {**signed(served, b"", "GET"), "Content-Type": "application/json"}
    status, answer = exchange(served, head("GET", headers))
    assert (status, answer["ResponseMetadata"]["Action"]) == (200, "ListPullToPushTask")


@pytest.mark.parametrize("length", [5 * 1024 * 1024, 10**15])
def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(served: Served, length: int) -> None:
    """The told length is enough; the answer is still in the envelope."""
    headers = {**signed(served, b"x"), "Content-Length": str(length)}
    status, answer = exchange(served, head("POST", headers))
    assert status == 413
    assert answer["ResponseMetadata"]["Error"]["Code"] == "InvalidParam.BodyTooLarge"


def test_a_body_changed_on_the_way_is_refused(served: Served) -> None:
    """The hash in the header still says the old one."""
    body = b'{"Page": 1}'
    headers = {**signed(served, body), "Content-Length": str(len(body))}
    assert exchange(served, head("POST", headers) + body)[0] == 200
    status, answer = exchange(served, head("POST", headers) + b'{"Page": 2}')
    assert (status, answer["ResponseMetadata"]["Error"]["CodeN"]) == (401, 100010)
    # And so with the hash changed, too: it is signed.
    headers["x-content-sha256"] = hashlib.sha256(b'{"Page": 2}').hexdigest()
    assert exchange(served, head("POST", headers) + b'{"Page": 2}')[0] == 401


def test_the_largest_watermark_passes(served: Served) -> None:
    """2 MB of picture are 2.8 MB of base64: below the body's limit."""
    text = base64.b64encode(bytes(2 * 1024 * 1024)).decode()
    body = json.dumps({"Watermark": {"Picture": f"data:image/png;base64,{text}"}}).encode()
    headers = {**signed(served, body), "Content-Length": str(len(body))}
    assert exchange(served, head("POST", headers) + body)[0] == 200
