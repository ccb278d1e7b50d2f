"""Buckets of S3: where a server keeps them, with which keys, and from which of them tasks may read.

``s3://BUCKET/KEY`` is read over HTTP, as any other file. Each request is signed in its query (presigned, AWS Signature
Version 4) at the moment it is made: so no signature expires during a long download, and egress policy, ranges and
retries are those of HTTP. Requests come from ``prepare.route``; objects of our own from ``prepare.shared``.

Keys are those of the settings, else of a profile, else of the environment, else of the machine's role: the order of
AWS's tools. ``obstore`` makes the signatures and asks for the credentials of roles (decision 0098).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from streamferry.media.errors import SourceForbidden, SourceRejected, SourceUnreachable, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.aws_profile import read_profile
from streamferry.reasons import Code, InvalidValue

if TYPE_CHECKING:
    from obstore.store import S3Store

#: Where AWS itself is; other regions are named.
DEFAULT_REGION = "us-east-1"
#: Settings by their names without ``s3_``, and what of AWS's environment means the same, the first that is set.
_SETTINGS = ("endpoint", "region", "access_key_id", "secret_access_key", "profile", "addressing")
_ENVIRONMENT = {
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "profile": ("AWS_PROFILE",),
    # Roles of pods and containers, which have no keys but tell where to get them.
    "web_identity_token_file": ("AWS_WEB_IDENTITY_TOKEN_FILE",),
    "role_arn": ("AWS_ROLE_ARN",),
    "role_session_name": ("AWS_ROLE_SESSION_NAME",),
    "container_credentials_relative_uri": ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    "container_credentials_full_uri": ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
    "container_authorization_token_file": ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",),
}
#: Variables of AWS that are secret: read once and then forgotten.
SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_KEYS = ("access_key_id", "secret_access_key", "session_token")
#: How long a signature is good for: it is used at once, and clocks may differ by minutes.
_SIGNED_FOR = timedelta(minutes=15)
#: For asking who this machine is, which is all that signing may have to wait for.
_RETRIES: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}


@dataclass(frozen=True, slots=True)
class Buckets:
    """``config``: options of the server by obstore's names, with its keys. ``addressing``: ``path`` or ``virtual``.

    ``allowed``: buckets, or ``BUCKET/PREFIX``, from which sources may be read; None: all. Build it with :meth:`of`.
    """

    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    addressing: str = "path"
    allowed: tuple[str, ...] | None = ()

    @classmethod
    def of(
        cls, given: Mapping[str, str], environ: Mapping[str, str], allowed: tuple[str, ...] | None = None
    ) -> "Buckets":
        """``given``: settings by their names without ``s3_``. Raises ValueError for a profile that cannot be used."""
        config = {name: value for name in _SETTINGS if (value := given.get(name, ""))}
        found = {
            name: next(environ[one] for one in variables if environ.get(one))
            for name, variables in _ENVIRONMENT.items()
            if any(environ.get(one) for one in variables)
        }
        named = config.pop("profile", "") or found.pop("profile", "")
        if "access_key_id" in config or ("access_key_id" in found and not given.get("profile")):
            profile = {}
        else:
            profile = read_profile(named, environ)
        # Keys go together: a token of the environment is not for the key of the settings.
        for weaker in (profile, found):
            if "access_key_id" in config:
                weaker = {name: value for name, value in weaker.items() if name not in _KEYS}
            config = weaker | config
        addressing = config.pop("addressing", "path")
        config.setdefault("region", DEFAULT_REGION)
        return cls(config, addressing, allowed)

    @classmethod
    def of_environment(cls) -> "Buckets":
        """For commands that read no settings: their user may read whatever the keys allow. Raises ValueError."""
        return cls.of(
            {name: os.environ.get("STREAMFERRY_" + f"S3_{name}".upper(), "") for name in _SETTINGS}, os.environ
        )

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        return {"config": dict(self.config), "addressing": self.addressing, "allowed": self.allowed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Buckets":
        """The same again."""
        allowed = data["allowed"]
        return cls(data["config"], data["addressing"], None if allowed is None else tuple(allowed))

    def check(self, url: MediaUrl) -> None:
        """Raises SourceForbidden for a bucket from which no source may be read."""
        if not self._allows(url.host, url.path):
            raise SourceForbidden(Code.S3_NOT_ALLOWED, url=url.redacted, bucket=url.host)

    def _allows(self, bucket: str, path: str) -> bool:
        place = f"{bucket}{path}"
        return self.allowed is None or any(place.startswith(f"{one.rstrip('/')}/") for one in self.allowed)

    def home(self, bucket: str) -> str:
        """Where a bucket is over HTTP, without a slash at the end."""
        root = self.config.get("endpoint") or f"https://s3.{self.config.get('region', DEFAULT_REGION)}.amazonaws.com"
        root = root.rstrip("/")
        if self.addressing == "path":
            return f"{root}/{bucket}"
        scheme, _, host = root.partition("://")
        return f"{scheme}://{bucket}.{host}"

    def address(self, url: MediaUrl) -> str:
        """The address over HTTP of an ``s3:`` one, not signed."""
        return f"{self.home(url.host)}/{quote(url.path.removeprefix('/'))}"

    def store(
        self, bucket: str, authorities: str = "", *, patience_s: float | None = None, request_s: float | None = None
    ) -> "S3Store":
        """A client of the bucket. ``patience_s``: how long the server may be silent, and requests be repeated.
        ``request_s``: how long a request may take with its body.

        Raises SourceUnsupported where obstore is not installed, or not satisfied.
        """
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError:
            raise SourceUnsupported(Code.S3_NOT_INSTALLED) from None
        config: Any = dict(self.config)
        if self.addressing != "path":
            config |= {"endpoint": self.home(bucket), "virtual_hosted_style_request": "true"}
        client: Any = {"allow_http": True}
        retries = _RETRIES
        if authorities:
            client["root_certificate"] = authorities
        if patience_s is not None:
            patience = timedelta(seconds=patience_s)
            client |= {"connect_timeout": patience, "read_timeout": patience}
            retries = _RETRIES | {"retry_timeout": patience}
        if request_s is not None:
            client["timeout"] = timedelta(seconds=request_s)
        try:
            return S3Store(bucket, config=config, client_options=client, retry_config=retries)
        except (BaseError, ValueError):
            raise SourceUnsupported(Code.S3_BAD_SETTINGS, bucket=bucket) from None


#: No bucket may be read.
NO_BUCKETS = Buckets()


class Signer:
    """Signs the requests for what lies in one bucket, and no others. One for a client of HTTP."""

    def __init__(self, buckets: Buckets, url: MediaUrl, authorities: str = "") -> None:
        """``url``: an ``s3:`` address in the bucket. Raises SourceError."""
        self._buckets = buckets
        self._url = url
        self._home = buckets.home(url.host) + "/"
        self._store = buckets.store(url.host, authorities)

    def sign(self, method: str, address: str) -> str:
        """The address, signed. Blocks while it asks for credentials. Raises SourceError."""
        import obstore

        key = self._key_of(method, address)
        if key is None:
            return address
        try:
            return obstore.sign(self._store, "GET", key, _SIGNED_FOR)
        except (obstore.exceptions.BaseError, OSError, ValueError, TypeError) as error:
            raise self._unsigned(error) from None

    async def sign_async(self, method: str, address: str) -> str:
        """The same, without blocking."""
        import obstore

        key = self._key_of(method, address)
        if key is None:
            return address
        try:
            return await obstore.sign_async(self._store, "GET", key, _SIGNED_FOR)
        except (obstore.exceptions.BaseError, OSError, ValueError, TypeError) as error:
            raise self._unsigned(error) from None

    def _key_of(self, method: str, address: str) -> str | None:
        parts = urlsplit(address)
        plain = f"{parts.scheme}://{parts.netloc}{parts.path}"
        if method != "GET" or not plain.startswith(self._home):
            return None
        key = unquote(plain.removeprefix(self._home))
        # A playlist may name more than its task may read.
        return key if self._buckets._allows(self._url.host, f"/{key}") else None

    def _unsigned(self, error: Exception) -> SourceUnreachable | SourceRejected:
        """Never with its words: they hold addresses and may hold more."""
        if isinstance(error, TypeError):
            return SourceRejected(Code.S3_BAD_KEY, url=self._url.redacted)
        return SourceUnreachable(Code.S3_NO_KEYS, url=self._url.redacted)


def split_place(text: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://BUCKET/PREFIX``, with or without the prefix. Raises ValueError."""
    scheme, _, place = text.partition("://")
    bucket, _, prefix = place.partition("/")
    prefix = prefix.strip("/")
    if scheme != "s3" or not bucket or any(one in ("", ".", "..") for one in prefix.split("/") if prefix):
        raise InvalidValue(Code.FIELD_BUCKET_PLACE)
    return bucket, prefix


def checked_place(text: str) -> str:
    """The text, if it says a place in a bucket or nothing. Raises ValueError."""
    if text:
        split_place(text)
    return text


def check_s3(url: MediaUrl) -> None:
    """Raises ValueError for an ``s3:`` address that names no object."""
    if url.username is not None:
        raise InvalidValue(Code.ADDRESS_S3_KEYS)
    parts = url.path.removeprefix("/").split("/")
    if url.port or any(part in ("", ".", "..") for part in parts):
        raise InvalidValue(Code.ADDRESS_S3)
