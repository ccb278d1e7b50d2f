"""Uploads in parts that nobody will finish: a bucket keeps the parts, unseen and paid for, until they are given up.

``obstore`` has no request for it, and signs none that has words in its query. So these are signed here, as all others
in the query (``net.s3``), with the keys of the settings, a profile or the environment. Keys of a role are obstore's
alone: there a rule of the bucket has to do it.

Specifications: ListMultipartUploads and AbortMultipartUpload of the Amazon S3 API; AWS Signature Version 4.
"""

import hashlib
import hmac
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx

from streamferry.net.s3 import DEFAULT_REGION, Buckets

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED_FOR_S = 900
#: A page of the list has 1,000 uploads at most; more are for the next time.
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload that has begun and not ended."""

    key: str
    upload_id: str
    began_at: datetime


class Uploads:
    """Those of a bucket. ``authorities``: to be trusted for TLS, as PEM, beside the usual ones."""

    def __init__(self, buckets: Buckets, bucket: str, authorities: str = "", *, patience_s: float) -> None:
        """``patience_s``: how long the server may be silent."""
        self._config = buckets.config
        self._home = buckets.home(bucket)
        self._authorities = authorities
        self._patience_s = patience_s

    @property
    def can_ask(self) -> bool:
        """Whether there are keys that requests can be signed with here."""
        return "access_key_id" in self._config and "secret_access_key" in self._config

    async def give_up(self, prefix: str, before: datetime) -> int:
        """Give those up that began before, of keys with that prefix; returns how many.

        Raises ValueError for an answer that is no list, httpx.HTTPError.
        """
        trusted = ssl.create_default_context(cadata=self._authorities or None)
        if self._authorities:
            trusted.load_default_certs()
        async with httpx.AsyncClient(verify=trusted, timeout=self._patience_s, trust_env=False) as client:
            listed = await self._ask(client, "GET", f"{self._home}/", {"uploads": "", "prefix": prefix})
            old = [one for one in read_list(listed) if one.began_at < before]
            for one in old:
                address = f"{self._home}/{quote(one.key)}"
                await self._ask(client, "DELETE", address, {"uploadId": one.upload_id})
            return len(old)

    async def _ask(self, client: httpx.AsyncClient, method: str, address: str, words: Mapping[str, str]) -> bytes:
        signed = sign(self._config, method, address, words, datetime.now(UTC), _SIGNED_FOR_S)
        async with client.stream(method, signed) as answer:
            answer.raise_for_status()
            said = b""
            async for piece in answer.aiter_bytes():
                said += piece
                if len(said) > _MOST_BYTES:
                    raise ValueError("the answer is too long")
            return said


def read_list(text: bytes) -> Iterator[Unfinished]:
    """Of an answer. Raises ValueError for anything else."""
    try:
        root = ElementTree.fromstring(text)
        for one in root.iterfind("{*}Upload"):
            key, upload_id, began = (one.findtext(f"{{*}}{name}", "") for name in ("Key", "UploadId", "Initiated"))
            if key and upload_id:
                yield Unfinished(key, upload_id, datetime.fromisoformat(began).astimezone(UTC))
    except ElementTree.ParseError:
        raise ValueError("the answer is no list") from None


def sign(
    config: Mapping[str, str], method: str, address: str, words: Mapping[str, str], now: datetime, good_s: int
) -> str:
    """The address with these words as its query, signed. ``config``: see ``Buckets``."""
    parts = urlsplit(address)
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    scope = f"{now:%Y%m%d}/{config.get('region', DEFAULT_REGION)}/s3/aws4_request"
    signed = {
        **words,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{config['access_key_id']}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(good_s),
        "X-Amz-SignedHeaders": "host",
    }
    if token := config.get("session_token"):
        signed["X-Amz-Security-Token"] = token
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(signed.items()))
    # As httpx sends it: without the port that goes without saying.
    host = httpx.URL(address).netloc.decode()
    request = "\n".join((method, parts.path, query, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"))
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = b"AWS4" + config["secret_access_key"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{address}?{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
