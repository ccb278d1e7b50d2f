"""Which certificates are trusted over https: a file that is given, else the variables that the official SDK heeds."""

import os
import ssl
from pathlib import Path

import httpx

#: Of the requests library, which the official SDK calls by, in its order.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def trust(ca_file: str | Path | None) -> ssl.SSLContext:
    """A context for clients. A folder is one of hashed names, as OpenSSL has it. Raises OSError for no such file."""
    places = (ca_file, *(os.environ.get(name) for name in _VARIABLES))
    place = next((Path(one) for one in places if one), None)
    if place is None:
        return httpx.create_ssl_context()
    return ssl.create_default_context(capath=place) if place.is_dir() else ssl.create_default_context(cafile=place)
