"""The service as the commands call it: the SDK's RestService, with the key as a person at a terminal gives it."""

import sys

import typer

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.rest import RestService


def open_service(url: str) -> RestService:
    """``url``: as it was given by ``--url``. The key is looked up where the SDK looks it up, or else asked for at the
    terminal; it is never an argument.

    Raises ValueError for an invalid address, or a file of authorities that cannot be read; CredentialsMissing.
    """
    key = _find_credentials()
    try:
        return RestService(url, key.access_key_id, key.secret_access_key)
    except OSError as error:
        raise ValueError(f"REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE: cannot be used: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"--url: {error}") from None


def _find_credentials() -> Credentials:
    try:
        return Credentials.find()
    except CredentialsMissing:
        if not sys.stdin.isatty():
            raise
    key_id = typer.prompt("access key id", err=True)
    return Credentials(key_id, typer.prompt("secret access key", hide_input=True, err=True))
