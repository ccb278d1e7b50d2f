"""Settings of the service: flags, then environment (``STREAMFERRY_...``), then a TOML file, then the defaults.

One model for ``serve``, for the workers it starts and for ``key``. The table in docs/reference/settings.md is made from
it, and a test compares the two.
"""

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from streamferry.config_words import CONFIG, PREFIX, Unreadable, read_file, words_of
from streamferry.net.folders import Folders
from streamferry.net.listening import ListenPorts
from streamferry.net.process import forget_variables
from streamferry.net.s3 import NO_BUCKETS, SECRET_VARIABLES, Buckets, checked_place, split_place
from streamferry.prepare.cache import default_root
from streamferry.tasks.placement import read_labels

#: Variables that are read once and then forgotten.
_OWN_SECRETS = (
    "ACCESS_KEY_ID",
    "SECRET_ACCESS_KEY",
    "SEAL_KEY",
    "STORE",
    "METRICS_TOKEN",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
)
SECRETS = (*(PREFIX + name for name in _OWN_SECRETS), *SECRET_VARIABLES)


def _default_data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local/share") / "streamferry"


class Settings(BaseSettings):
    """Every setting, with its default. Build it with :func:`load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", hide_input_in_errors=True)
    _buckets: Buckets = PrivateAttr(default=NO_BUCKETS)

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder of the SQLite store and of the seal key. Created if it does not exist.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    store: SecretStr = Field(
        SecretStr(""),
        description="Address of the store: `sqlite:///PATH` or `postgresql://...`. "
        "Empty: `store.db` in the data folder.",
    )
    seal_key: SecretStr = Field(
        SecretStr(""),
        description="Key that encrypts the secrets in the store, 32 bytes in URL-safe base64. "
        "Empty: `seal.key` in the data folder, made on the first start. Machines that share a store need the same key.",
    )
    access_key_id: str = Field(
        "",
        description="First access key, added to the store at start. Empty: one is made, and written to the file "
        "first-access-key in the data folder.",
    )
    secret_access_key: SecretStr = Field(SecretStr(""), description="Its secret.")
    egress: Literal["public", "lan", "any"] = Field(
        "lan",
        description="Which addresses tasks may reach: `public` ones, those and the local network (`lan`, which refuses "
        "loopback, link-local and the metadata services of clouds), or `any`. Only `any` reaches this machine by "
        "its own addresses.",
    )
    files: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders from which `file:` sources may be read, separated by `:`. Empty: none."
    )
    s3_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Buckets from which `s3:` sources may be read, separated by `,`; `BUCKET/PREFIX` for a part of "
        "one. Empty: none.",
    )
    s3_endpoint: str = Field(
        "",
        description="Address of the S3 server, such as `https://s3.example.com`. Empty: `AWS_ENDPOINT_URL`, else AWS. "
        "It is reached as `egress` says.",
    )
    s3_region: str = Field("", description="Region of its buckets. Empty: `AWS_REGION`, else `us-east-1`.")
    s3_access_key_id: str = Field(
        "",
        description="Access key for S3. Empty: as AWS's tools find one: in `s3_profile`, the environment, the profile "
        "`default`, the role of the pod or machine.",
    )
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="Its secret.")
    s3_profile: str = Field("", description="Profile in `~/.aws` to take the keys from. Empty: `AWS_PROFILE`.")
    s3_addressing: Literal["path", "virtual"] = Field(
        "path",
        description="Where the bucket stands in addresses of the S3 server: in the `path`, or as the first part of the "
        "host (`virtual`), which some providers ask for.",
    )
    upload_mb: int = Field(
        4000,
        ge=0,
        description="Largest file in MB that may be uploaded to the library. Tasks may play its files.",
    )
    library: Annotated[str, AfterValidator(checked_place)] = Field(
        "",
        description="Where uploaded files are kept for all machines: `s3://BUCKET/PREFIX`, from which tasks may then "
        "read on every machine that has this setting. Empty: in the folder `library` in the data folder.",
    )
    cache_dir: Path = Field(
        default_factory=default_root,
        description="Folder of the cache of prepared files. Commands that read no settings (`relay`, `prepare`, "
        "`cache`) take it from the environment.",
    )
    cache_mb: int = Field(
        20_000,
        ge=0,
        description="Size in MB above which the least recently used files are removed from the cache of prepared "
        "files, but never one that is playing. They are removed earlier where the disk has less room.",
    )
    shared_cache: Annotated[str, AfterValidator(checked_place)] = Field(
        "",
        description="Where machines share prepared files: `s3://BUCKET/PREFIX`. The cache on the disk stays in front "
        "of it. Empty: nowhere. The bucket's own rules remove old files.",
    )
    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["none"] = Field(
        0,
        description="Worker processes; 0 means one per core, `none` that this process serves the APIs and the "
        "dashboard only and `streamferry worker` runs elsewhere.",
    )
    worker_host: str = Field(
        "127.0.0.1",
        description="Address of this machine on which its workers listen, on free ports, so that the service can fetch "
        "previews. A worker on another machine needs one that the service can reach.",
    )
    lease_s: float = Field(
        6.0,
        ge=5,
        le=600,
        description="Seconds for which a worker may continue without the store before it stops sending; after that, "
        "other workers take its tasks. A longer lease outlasts a longer failover of PostgreSQL, but the tasks of a "
        "machine that dies are off air for longer. Workers of a service on SQLite need none: they run as long as it.",
    )
    capacity: int = Field(
        500,
        ge=1,
        description="Most tasks that one worker process takes; fewer where its limit of open files is low.",
    )
    capacity_kbps: int | None = Field(
        None,
        ge=1,
        description="Most kbps that one worker process sends; it takes no task that would exceed it. Empty: no limit.",
    )
    capacity_encodes: int | None = Field(
        None,
        ge=0,
        description="Most tasks that one worker process takes for which it encodes, or may have to: with a watermark, "
        "or with `codecs` other than `any`. 0: none. Empty: no limit.",
    )
    labels: Annotated[tuple[str, ...], NoDecode, AfterValidator(read_labels)] = Field(
        (),
        description="What the workers of this machine are, separated by `,`, such as `region=eu,egress=192.0.2.7`. A "
        "task may ask for labels (`placement`), and only workers that have them all take it.",
    )
    share_pulls: bool = Field(
        True,
        description="Whether live tasks of one worker with the same source, by address and options, pull it once.",
    )
    rebalance: bool = Field(
        True,
        description="Whether workers that are more than 80 % full hand tasks over to workers that are less than half "
        "full, five at a time. Each one is off the air for as long as a session takes to begin.",
    )
    listen_ports: str = Field(
        "",
        description="Ports of workers that tasks may open to wait for media, such as `5000-5999,9000`: `udp:` sources, "
        "and `srt:` addresses with `mode=listener`. They are open to anyone who can reach the machine, whatever "
        "`egress` says. Empty: none.",
    )
    conflicts: Literal["refuse", "warn"] = Field(
        "refuse",
        description="What to do about two tasks with the same destination at overlapping times; addresses that differ "
        "in their query are different destinations.",
    )
    public_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names under which clients reach the service through a proxy, separated by `,`."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses or networks of the proxies in front, separated by `,`, such as `127.0.0.1,::1` for one "
        "on this machine. Whatever connects from there is believed when it sends `X-Forwarded-For` and "
        "`X-Forwarded-Proto`, and limits per peer then apply to its clients.",
    )
    max_connections: int = Field(2000, ge=1, description="Most connections to the port.")
    max_connections_per_peer: int = Field(
        200,
        ge=1,
        description="Most connections of one peer that is not a trusted proxy, and most requests of one peer at a "
        "time. A peer is an IPv4 address or an IPv6 network of 64 bits.",
    )
    write_rate: float = Field(10, ge=0, description="Calls per second and key that change something; 0: no limit.")
    list_rate: float = Field(15, ge=0, description="Calls per second and key that list something; 0: no limit.")
    usage_rate: float = Field(30, ge=0, description="Calls per second and key that ask for usage; 0: no limit.")
    keep_callbacks_days: int = Field(
        7,
        ge=1,
        description="Days for which delivered callbacks are kept.",
    )
    keep_dead_callbacks_days: int = Field(
        30, ge=1, description="Days for which callbacks that were given up are kept; until then they can be sent again."
    )
    keep_events_days: int = Field(30, ge=1, description="Days for which the events of tasks are kept.")
    keep_audit_days: int = Field(
        366, ge=1, description="Days for which the audit stream (who signed in, who changed keys and secrets) is kept."
    )
    keep_usage_days: int = Field(
        366,
        ge=1,
        description="Days for which usage is kept by the hour; its API goes back 366 days. By the minute it is kept "
        "for 2 days, by five minutes for 93, and by the day for good.",
    )
    keep_ended_tasks_days: int = Field(
        0,
        ge=0,
        description="Days for which tasks are kept after their EndTime; then they are deleted. 0: for good.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token that `/metrics` requires. Empty: open to all who can reach the port."
    )
    metrics_per_task: bool = Field(False, description="Whether `/metrics` has series for each running task.")
    ffmpeg: str = Field(
        "",
        description="The ffmpeg program. Empty: the one that came with the installation. Commands that read no "
        "settings take it from the environment.",
    )
    ca_file: Path | None = Field(None, description="PEM file of additional authorities to trust for TLS.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    log_format: Literal["human", "json"] = Field("human", description="Lines for people, or JSON objects for tools.")

    @field_validator("files", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ipaddress.ip_network(one)
            except ValueError:
                raise ValueError(
                    f"{one[:64]} is neither an address nor a network, as 10.0.0.5 or 10.0.0.0/24"
                ) from None
        return value

    @field_validator("public_hosts", "trusted_proxies", "labels", "s3_buckets", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("cache_dir", mode="before")
    @classmethod
    def _default_for_none(cls, value: object) -> object:
        return value or default_root()

    @field_validator("listen_ports", mode="after")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        ListenPorts.parse(value)
        return value

    @field_validator("ffmpeg", mode="after")
    @classmethod
    def _expand_home(cls, value: str) -> str:
        return os.path.expanduser(value)

    @field_validator("data_dir", "files", "cache_dir", "ca_file", mode="after")
    @classmethod
    def _make_absolute(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(path.expanduser().absolute() for path in value)
        return None if value is None else value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _FileSource(settings_cls)

    @model_validator(mode="after")
    def _find_buckets(self) -> Self:
        # Now: its secrets are forgotten before it is needed.
        names = ("endpoint", "region", "access_key_id", "profile", "addressing")
        given = {name: getattr(self, f"s3_{name}") for name in names}
        given["secret_access_key"] = self.s3_secret_access_key.get_secret_value()
        library = ["/".join(filter(None, split_place(self.library)))] if self.library else ()
        self._buckets = Buckets.of(given, os.environ, (*self.s3_buckets, *library))
        return self

    @property
    def buckets(self) -> Buckets:
        """How buckets of S3 are reached, and from which of them tasks may read."""
        return self._buckets

    @property
    def library_dir(self) -> Path:
        """Where uploaded files are, or were before the library had a bucket."""
        return self.data_dir / "library"

    @property
    def folders(self) -> Folders:
        """Where files may be read; never in the folders that the service keeps for itself."""
        return Folders.of(self.files, private=(self.data_dir, self.cache_dir))

    @property
    def worker_count(self) -> int:
        """How many worker processes the service starts."""
        return 0 if self.workers == "none" else self.workers or len(os.sched_getaffinity(0))

    def of_worker(self) -> dict[str, str]:
        """The settings that a worker process needs, for ``service.worker_settings``; what is empty is left out."""
        values = {
            "data_dir": str(self.data_dir),
            "store": self.store.get_secret_value(),
            "seal_key": self.seal_key.get_secret_value(),
            "egress": self.egress,
            "listen_ports": self.listen_ports,
            "files": os.pathsep.join(map(str, self.files)),
            "cache_dir": str(self.cache_dir),
            "cache_mb": str(self.cache_mb),
            "shared_cache": self.shared_cache,
            "worker_host": self.worker_host,
            "lease_s": str(self.lease_s),
            "capacity": str(self.capacity),
            "capacity_kbps": str(self.capacity_kbps or ""),
            "capacity_encodes": "" if self.capacity_encodes is None else str(self.capacity_encodes),
            "labels": ",".join(self.labels),
            "share_pulls": "yes" if self.share_pulls else "",
            "ffmpeg": self.ffmpeg,
            "ca_file": str(self.ca_file or ""),
            "log_level": self.log_level,
            "log_format": self.log_format,
            "buckets": json.dumps(self.buckets.to_json()),
        }
        return {name: value for name, value in values.items() if value}


class _FileSource(PydanticBaseSettingsSource):
    """The TOML file that ``STREAMFERRY_CONFIG`` names, if any."""

    def get_field_value(self, field: object, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(CONFIG)
        return read_file(path) if path else {}


def forget_secrets() -> None:
    """Take secrets out of this process's environment, and out of /proc/PID/environ."""
    forget_variables(SECRETS)


def load_settings(config: Path | None = None, **flags: object) -> Settings:
    """The settings; a flag that is None was not given. Raises ValueError with one sentence that contains no value."""
    if config is not None:
        os.environ[CONFIG] = str(config)
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(words_of(error, given, Settings.model_fields)) from None
    except Unreadable as error:
        raise ValueError(str(error)) from None
