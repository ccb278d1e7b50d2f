"""Settings that have no effect, or none yet: they do not prevent a start, and are told as it begins."""

import contextlib
import importlib.util
import os
import stat
from collections.abc import Iterator

from streamferry.config import Settings
from streamferry.config_words import CONFIG, PREFIX, meant

#: Variables of the commands that call a service, or relay without one.
_OTHERS = (CONFIG, f"{PREFIX}URL", f"{PREFIX}TO")


def doubts(settings: Settings) -> Iterator[str]:
    """Warnings, as sentences."""
    with contextlib.suppress(OSError):
        if (mode := stat.S_IMODE(settings.data_dir.stat().st_mode)) & 0o007:
            yield f"data-dir: other users may look into {settings.data_dir} (mode {mode:o}); chmod o-rwx it"
    for folder in settings.files:
        if not folder.is_dir():
            yield f"files: {folder} is {'no folder' if folder.exists() else 'not there'}: no task can play from it"
    if settings.library and importlib.util.find_spec("obstore") is None:
        yield "library: a bucket needs a package that is not installed: pip install 'streamferry[s3]'"
    for name in sorted(os.environ):
        setting = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and name not in _OTHERS and setting not in Settings.model_fields:
            yield f"{name} is no setting{meant(setting, Settings.model_fields, lambda one: PREFIX + one.upper())}"
