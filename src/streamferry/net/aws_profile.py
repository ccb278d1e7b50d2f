"""Profiles of AWS's tools: ``~/.aws/credentials`` and ``~/.aws/config``, or the files that the environment names.

Only what stands there in full: keys, a token, a region, an endpoint. What is asked for elsewhere (single sign-on, a
role assumed from another profile, a program) is the tools' own business, which can write its keys into the environment.
"""

import configparser
from collections.abc import Mapping
from pathlib import Path

from streamferry.reasons import Code, InvalidValue

_DEFAULT = "default"
#: Their names -> ours.
_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
#: Where a profile has its keys from, if not from these files.
_ELSEWHERE = ("sso_session", "sso_start_url", "role_arn", "credential_process", "web_identity_token_file")


def read_profile(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What a profile says, by our names; ``name`` empty: the default one, if there is one.

    Raises ValueError for one that is not there, or that has no keys of its own.
    """
    wanted = name or _DEFAULT
    home = Path(environ.get("HOME") or Path.home()) / ".aws"
    config = _read(Path(environ.get("AWS_CONFIG_FILE") or home / "config"))
    credentials = _read(Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"))
    # In the file of settings only the default one goes without the word.
    sections = (
        *(config[one] for one in (wanted, f"profile {wanted}") if one in config and one != name),
        *(credentials[one] for one in (wanted,) if one in credentials),
    )
    said = {key: value for section in sections for key, value in section.items()}
    if name and not sections:
        raise InvalidValue(Code.S3_NO_PROFILE, profile=name)
    if name and "aws_access_key_id" not in said and any(one in said for one in _ELSEWHERE):
        raise InvalidValue(Code.S3_PROFILE_ELSEWHERE, profile=name)
    return {ours: said[theirs] for theirs, ours in _NAMES.items() if said.get(theirs)}


def _read(path: Path) -> configparser.ConfigParser:
    """A file of sections; an empty one where there is none, or it is none."""
    found = configparser.ConfigParser(interpolation=None, strict=False, default_section="")
    try:
        found.read_string(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return configparser.ConfigParser()
    return found
