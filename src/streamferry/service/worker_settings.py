"""The settings of a worker, which has them from its service or from its command: checked there, and only read here.

Not the model in ``config``: the library behind it costs a process more than a tenth of a second to import.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast

from streamferry.net.folders import Folders
from streamferry.net.s3 import Buckets


class AnySecret(Protocol):
    """A secret of either kind of settings."""

    def get_secret_value(self) -> str:
        """What it hides."""


class StoreSettings(Protocol):
    """What opens a store: settings of the service, or of a worker."""

    @property
    def data_dir(self) -> Path:
        """Folder of the store and of its key, where these are not settings."""

    @property
    def store(self) -> AnySecret:
        """Address of the store, or empty."""

    @property
    def seal_key(self) -> AnySecret:
        """Key that encrypts secrets in it, or empty."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that no repr shows."""

    _value: str = field(repr=False)

    def get_secret_value(self) -> str:
        """The text."""
        return self._value


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Those of ``Settings.of_worker``, with the same names and meanings."""

    data_dir: Path
    store: Secret
    seal_key: Secret
    egress: str
    listen_ports: str
    files: tuple[Path, ...]
    cache_dir: Path
    cache_mb: int
    shared_cache: str
    worker_host: str
    lease_s: float
    capacity: int
    capacity_kbps: int | None
    capacity_encodes: int | None
    labels: tuple[str, ...]
    share_pulls: bool
    ffmpeg: str
    ca_file: Path | None
    log_level: str
    log_format: Literal["human", "json"]
    buckets: Buckets

    @classmethod
    def load(cls, values: Mapping[str, str]) -> "WorkerSettings":
        """From what ``Settings.of_worker`` gives, which leaves out what is empty."""
        ca_file = values.get("ca_file")
        return cls(
            data_dir=Path(values["data_dir"]),
            store=Secret(values.get("store", "")),
            seal_key=Secret(values.get("seal_key", "")),
            egress=values["egress"],
            listen_ports=values.get("listen_ports", ""),
            files=tuple(Path(one) for one in values.get("files", "").split(os.pathsep) if one),
            cache_dir=Path(values["cache_dir"]),
            cache_mb=int(values["cache_mb"]),
            shared_cache=values.get("shared_cache", ""),
            worker_host=values["worker_host"],
            lease_s=float(values["lease_s"]),
            capacity=int(values["capacity"]),
            capacity_kbps=_number(values.get("capacity_kbps", "")),
            capacity_encodes=_number(values.get("capacity_encodes", "")),
            share_pulls=values.get("share_pulls", "") == "yes",
            labels=tuple(one for one in values.get("labels", "").split(",") if one),
            ffmpeg=values.get("ffmpeg", ""),
            ca_file=Path(ca_file) if ca_file else None,
            log_level=values["log_level"],
            log_format=cast(Literal["human", "json"], values["log_format"]),
            buckets=Buckets.from_json(json.loads(values["buckets"])),
        )

    @property
    def folders(self) -> Folders:
        """Where files may be read; never in the folders that the service keeps for itself."""
        return Folders.of(self.files, private=(self.data_dir, self.cache_dir))


def _number(text: str) -> int | None:
    return int(text) if text else None
