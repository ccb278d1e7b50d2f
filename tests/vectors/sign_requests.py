"""Writes signed-requests.json: API requests signed the way each official SDK does it, at a fixed time with a fixed key.

    python tests/vectors/sign_requests.py

Written from the signing rules alone and imports nothing of streamferry: a second opinion. What each SDK puts into the
request (headers, their order, escapes, what it leaves out) follows the SDKs' sources: Go volc-sdk-golang, PHP
volc-sdk-php, Java volc-sdk-java, Node @volcengine/openapi, Python volcengine, the universal client of
volcengine-python-sdk, and the Go demo of volc-openapi-demos.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote

KEY_ID = "AKLTexample"
SECRET = "c2VjcmV0LW9mLXRoZS1leGFtcGxl"
DATE = "20260102T030405Z"
REGION = "cn-north-1"
BODY = json.dumps({"Title": "拉流转推", "TaskId": "0123456789abcdef0123456789abcdef"}, ensure_ascii=False).encode()
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
LIST = {"Action": "ListPullToPushTask", "Version": "2023-01-01", "Page": "1", "Size": "20", "Title": "拉流 *(doc)!'~+"}
TOKEN = {"X-Security-Token": "STS2dG9rZW4="}
UPDATE = {"Action": "UpdatePullToPushTask", "Version": "2023-01-01"}


def escape(text):
    return quote(text, safe="-_.~")


def canonical(pairs):
    return "&".join(f"{escape(key)}={escape(value)}" for key, value in sorted(pairs))


def signature(method, query, header_block, names, body):
    text = "\n".join((method, "/", query, header_block, names, hashlib.sha256(body).hexdigest()))
    scope = f"{DATE[:8]}/{REGION}/live/request"
    to_sign = "\n".join(("HMAC-SHA256", DATE, scope, hashlib.sha256(text.encode()).hexdigest()))
    key = SECRET.encode()
    for part in (DATE[:8], REGION, "live", "request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def by_header(name, method, query, wire_query, headers, names, body=b"", signed_host=None):
    """``headers`` as they go out; ``signed_host`` if the client signs another Host than it sends."""
    lower = {key.lower(): value for key, value in headers.items()}
    if signed_host is not None:
        lower["host"] = signed_host
    block = "".join(f"{key}:{lower[key]}\n" for key in names.split(";"))
    signed = signature(method, canonical(query.items()), block, names, body)
    credential = f"{KEY_ID}/{DATE[:8]}/{REGION}/live/request"
    line = f"HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signed}"
    return vector(name, method, wire_query, {**headers, "Authorization": line}, body)


def by_query(name, query, listed, extra=None, signed_extra=False, signed_host=""):
    """``listed``: X-SignedQueries names itself or not; ``extra``: sent beside the listed ones."""
    query = {
        **query,
        "X-Date": DATE,
        "X-NotSignBody": "",
        "X-Credential": f"{KEY_ID}/{DATE[:8]}/{REGION}/live/request",
        "X-Algorithm": "HMAC-SHA256",
        "X-SignedHeaders": "host" if signed_host else "",
    }
    names = sorted([*query, *(["X-SignedQueries"] if listed else [])])
    query["X-SignedQueries"] = ";".join(names)
    extra = extra or {}
    signed_pairs = [(key, query[key]) for key in names] + (list(extra.items()) if signed_extra else [])
    block, header_names = (f"host:{signed_host}\n", "host") if signed_host else ("\n", "")
    signed = signature("GET", canonical(signed_pairs), block, header_names, b"")
    wire = {**query, **extra, "X-Signature": signed}
    return vector(
        name, "GET", "&".join(f"{escape(k)}={escape(v)}" for k, v in wire.items()), {"Host": signed_host or "h"}, b""
    )


def vector(name, method, query, headers, body):
    return {
        "name": name,
        "method": method,
        "query": query,
        "headers": [[key.lower(), value] for key, value in headers.items()],
        "body": base64.b64encode(body).decode(),
    }


def percent(query):
    return "&".join(f"{escape(key)}={escape(value)}" for key, value in query.items())


def plus(query):
    return percent(query).replace("%20", "+")


def node_escape(text):
    return quote(text, safe="-_.~!*'()")


def vectors():
    body_hash = {"X-Content-Sha256": hashlib.sha256(BODY).hexdigest()}
    no_body_hash = {"X-Content-Sha256": hashlib.sha256(b"").hexdigest()}
    date = {"X-Date": DATE}
    host = {"Host": "live.example.com:8080"}
    all_names = "content-type;host;x-content-sha256;x-date"
    chunked = {"Transfer-Encoding": "chunked"}
    node_query = "&".join(f"{node_escape(key)}={node_escape(value)}" for key, value in LIST.items())
    sdk = {"X-Sdk-Invocation-Id": "9a1d5a52-5a5e-4d0b-9a29-5f6d2f0a7a11", "X-Sdk-Request": "attempt=1; max=4"}
    core_names = "content-type;host;x-content-sha256;x-date;x-sdk-invocation-id;x-sdk-request"
    posted = {"Content-Type": JSON_TYPE, **host, **date}
    go_post = {**posted, **body_hash, **chunked}
    yield by_header("go-post-chunked", "POST", UPDATE, plus(UPDATE), go_post, all_names, BODY)
    form = {"Content-Type": FORM_TYPE, **host, **date, **no_body_hash}
    yield by_header("go-get", "GET", LIST, plus(dict(sorted(LIST.items()))), form, all_names)
    yield by_header(
        "go-post-port-80",
        "POST",
        UPDATE,
        plus(UPDATE),
        {**posted, "Host": "live.example.com:80", **body_hash},
        all_names,
        BODY,
        signed_host="live.example.com",
    )
    yield by_header("php-post", "POST", UPDATE, percent(UPDATE), {**posted, "Accept": JSON_TYPE}, "host;x-date", BODY)
    yield by_header("php-get", "GET", LIST, percent(LIST), {**host, **date}, "host;x-date")
    yield by_header("java-post", "POST", UPDATE, plus(UPDATE), {**posted, **body_hash}, all_names, BODY)
    typed = {"Content-Type": JSON_TYPE, **host, **date, **no_body_hash}
    yield by_header("java-get-with-content-type", "GET", LIST, plus(LIST), typed, all_names)
    names = "host;x-content-sha256;x-date"
    yield by_header("python-get", "GET", LIST, plus(LIST), {**host, **date, **no_body_hash}, names)
    node_type = {"Content-Type": f"{JSON_TYPE}; charset=utf-8"}
    node_post = {**node_type, **host, **date, **body_hash}
    yield by_header("node-post", "POST", UPDATE, percent(UPDATE), node_post, "x-content-sha256;x-date", BODY)
    yield by_header("node-get", "GET", LIST, node_query, {**host, **date}, "x-date")
    yield by_header("universal-post", "POST", UPDATE, plus(UPDATE), {**posted, **body_hash, **sdk}, core_names, BODY)
    unsorted = "host;x-date;x-content-sha256;content-type"
    yield by_header("go-demo-unsorted", "POST", UPDATE, plus(UPDATE), {**posted, **body_hash}, unsorted, BODY)
    valid = {**UPDATE, "X-Expires": "3600"}
    yield by_header("with-expires", "POST", valid, plus(valid), {**posted, **body_hash}, all_names, BODY)
    yield by_query("go-presigned", LIST, listed=True)
    yield by_query("node-presigned", LIST, listed=False)
    yield by_query("go-presigned-token", {**LIST, **TOKEN}, listed=True)
    yield by_query("python-presigned-token", LIST, listed=True, extra=TOKEN, signed_extra=True)
    yield by_query("universal-presigned-host", LIST, listed=True, signed_host="live.example.com")
    names = "content-type;host;x-content-sha256;x-date;x-security-token"
    yield by_header("go-post-token", "POST", UPDATE, plus(UPDATE), {**posted, **body_hash, **TOKEN}, names, BODY)


def main():
    out = {"key_id": KEY_ID, "secret": SECRET, "date": DATE, "requests": list(vectors())}
    path = Path(__file__).with_name("signed-requests.json")
    path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
