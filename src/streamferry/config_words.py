"""What is wrong with settings, as sentences: the setting, what it must be, where its value comes from."""

import difflib
import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ValidationError

#: What variables that are settings begin with, and the one that names the file of settings.
PREFIX = "STREAMFERRY_"
CONFIG = f"{PREFIX}CONFIG"
#: All settings with their comments are 10 KB; a device named by mistake may never end.
_MAX_FILE_BYTES = 1 << 20


class Unreadable(Exception):
    """The file of settings cannot be read."""


def read_file(path: str) -> dict[str, Any]:
    """The settings in a TOML file. Raises Unreadable with a sentence."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) <= _MAX_FILE_BYTES:
            return tomllib.loads(data.decode())
        words = "is too large for a file of settings"
    except OSError as error:
        words = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        words = "is not text in UTF-8"
    except tomllib.TOMLDecodeError as error:
        words = f"is not TOML: {error}"
    # Not a ValueError: the model would attribute that to a field.
    raise Unreadable(f"config: {path} {words}")


def words_of(error: ValidationError, given: Mapping[str, object], known: Collection[str]) -> str:
    """One sentence on the first wrong field and where its value comes from. It does not repeat the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    variable, file = PREFIX + name.upper(), os.environ.get(CONFIG)
    if name in given:
        place = ""
    elif variable in os.environ:
        place = f" (in the variable {variable})"
    else:
        place = f" (in {file})" if file else ""
    if first["type"] == "extra_forbidden":
        return f"{name}: is no setting{meant(name, known)}{place}"
    words = str(first["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return f"{name.replace('_', '-')}: {words}{place}"


def meant(name: str, known: Collection[str], shown: Callable[[str], str] = str) -> str:
    """Which setting may have been meant, as the end of a sentence; empty for none."""
    near = difflib.get_close_matches(name.replace("-", "_"), known, 1)
    return f"; did you mean {shown(near[0])}?" if near else ""
