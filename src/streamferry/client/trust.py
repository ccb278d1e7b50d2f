"""Which certificates are trusted for https: a given file, or the variables that the official SDK reads."""

import os
import ssl
from pathlib import Path

import httpx

#: Variables of the requests library, which the official SDK uses, in its order.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


#: For what has no TLS: no authority is read, which takes 20 to 40 ms.
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trust(ca_file: str | Path | None) -> ssl.SSLContext:
    """A context for clients. A folder has hashed names, as for OpenSSL. Raises OSError if the file does not exist."""
    places = (ca_file, *(os.environ.get(name) for name in _VARIABLES))
    place = next((Path(one) for one in places if one), None)
    if place is None:
        return httpx.create_ssl_context()
    return ssl.create_default_context(capath=place) if place.is_dir() else ssl.create_default_context(cafile=place)
