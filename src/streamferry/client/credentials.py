"""Where the access key comes from: arguments, or the same variables and files that the official SDK reads."""

import configparser
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from streamferry.client.errors import ClientError

_ID_VARIABLE, _SECRET_VARIABLE = "VOLC_ACCESSKEY", "VOLC_SECRETKEY"


class CredentialsMissing(ClientError):
    """No access key was given or found."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; ``session_token`` with temporary ones only."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    @classmethod
    def find(cls) -> "Credentials":
        """Read VOLC_ACCESSKEY and VOLC_SECRETKEY, else ``~/.volc/credentials``, else ``~/.volc/config``.

        Raises CredentialsMissing.
        """
        if pair := _from_environment() or _from_home(Path(os.environ.get("HOME") or "/")):
            return cls(*pair)
        raise CredentialsMissing(
            f"no access key: set {_ID_VARIABLE} and {_SECRET_VARIABLE}, or write ~/.volc/credentials"
        )


def _from_environment() -> tuple[str, str] | None:
    key_id, secret = os.environ.get(_ID_VARIABLE), os.environ.get(_SECRET_VARIABLE)
    return (key_id, secret) if key_id and secret else None


def _from_home(home: Path) -> tuple[str, str] | None:
    ini, config = home / ".volc/credentials", home / ".volc/config"
    for path, read, form in ((ini, _read_ini, "INI"), (config, _read_json, "JSON")):
        try:
            found = read(path.read_text())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            raise CredentialsMissing(f"{path} cannot be read ({error.strerror})") from None
        except (ValueError, configparser.Error):
            # Without the parser's message, which repeats lines of the file.
            raise CredentialsMissing(f"{path} is not {form}") from None
        # The first file that exists decides, as in the official SDK.
        return found if all(found) else None
    return None


def _read_ini(text: str) -> tuple[str, str]:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return (
        parser.get("default", "access_key_id", fallback=""),
        parser.get("default", "secret_access_key", fallback=""),
    )


def _read_json(text: str) -> tuple[str, str]:
    told = json.loads(text)
    return (str(told.get("ak") or ""), str(told.get("sk") or "")) if isinstance(told, dict) else ("", "")
