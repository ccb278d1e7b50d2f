"""Address of a PostgreSQL store, as providers give it: libpq's parameters (PostgreSQL's manual, 34.1.1 and 34.1.2).

Unknown parameters are refused by name: one that is silently ignored might be the one meant to protect. No error repeats
a part of the address.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_PORT = 5432
#: How long one host may take to be connected to, unless ``connect_timeout`` says otherwise.
CONNECT_S = 5.0
#: How TLS is made. The driver reads them as libpq does.
_TLS = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TARGETS = ("any", "read-write", "primary")
_WHO = ("host", "port", "user", "password", "dbname", "passfile")
_OTHER = ("target_session_attrs", "connect_timeout", "application_name", "channel_binding", "gssencmode")
KNOWN = (*_WHO, *_TLS, *_OTHER)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a store is. ``tls``: the parameters of that name. ``target``: a value of target_session_attrs.

    ``hosts``: name and port of each server, tried in this order; none means the driver's default. What is None is
    also left to the driver, which reads the variables and files that libpq reads.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    passfile: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict, repr=False)
    target: str = "any"
    connect_s: float = CONNECT_S
    application_name: str = "streamferry"


def parse_postgresql(text: str) -> PostgresAddress:
    """Raises ValueError with a sentence that names the parameter."""
    try:
        parts = urlsplit(text)
        given = parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
    except ValueError:
        raise _refused("it cannot be read: postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE") from None
    if parts.fragment:
        raise _refused("it holds a #; in a user or password it is written %23")
    values = dict(given)
    _check_names(values)
    credentials, _, spec = parts.netloc.rpartition("@")
    user, has_password, password = credentials.partition(":")
    hosts = _read_hosts(
        ",".join([part for part in (spec, *(value for name, value in given if name == "host")) if part]),
        values.get("port", ""),
    )
    # Several servers are named because only one of them takes writes.
    target = values.get("target_session_attrs", "any" if len(hosts) < 2 else "read-write")
    if target not in _TARGETS:
        raise _refused(f"target_session_attrs: must be {', '.join(_TARGETS)}: a store is written to")
    return PostgresAddress(
        hosts=hosts,
        user=unquote(user) or values.get("user"),
        password=unquote(password) if has_password else values.get("password"),
        database=unquote(parts.path.removeprefix("/")) or values.get("dbname"),
        passfile=values.get("passfile"),
        tls=_read_tls(values),
        target=target,
        connect_s=_read_timeout(values.get("connect_timeout", "")),
        application_name=values.get("application_name", "") or "streamferry",
    )


def _check_names(values: dict[str, str]) -> None:
    if "ssl" in values:
        # The driver's own name for it, in addresses from before libpq's names were supported.
        mode = values.pop("ssl")
        values.setdefault("sslmode", "require" if mode in ("true", "1", "on") else mode)
    if "options" in values:
        raise _refused("options cannot be given; set them for the role or the database: ALTER ROLE ... SET ...")
    if unknown := next((name for name in values if name not in KNOWN), None):
        raise _refused(f"the parameter {unknown[:40]!r} is not known; these are: {', '.join(KNOWN)}")
    if values.get("channel_binding") not in (None, "disable", "prefer"):
        raise _refused("channel_binding: is not supported; leave it out, and let sslmode be verify-full")
    if values.get("gssencmode") not in (None, "disable", "prefer"):
        raise _refused("gssencmode: is not supported; leave it out")


def _read_hosts(spec: str, ports: str) -> tuple[tuple[str, int], ...]:
    hosts: list[tuple[str, str]] = []
    for one in spec.split(",") if spec else []:
        # An IPv6 address is in brackets, a socket's folder begins with a slash.
        name, colon, port = one.rpartition(":") if ":" in one.rpartition("]")[2] else (one, "", "")
        hosts.append((unquote(name.strip("[]")), port if colon else ""))
    of_all = ports.split(",") if ports else []
    if of_all and len(of_all) not in (1, max(len(hosts), 1)):
        raise _refused("port: there must be one for all hosts, or one for each")
    read: list[tuple[str, int]] = []
    for index, (name, port) in enumerate(hosts or ([("localhost", "")] if of_all else [])):
        port = port or (of_all[index % len(of_all)] if of_all else "") or str(_PORT)
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise _refused("a port must be a number from 1 to 65535; several hosts are written HOST:PORT,HOST:PORT")
        read.append((name, int(port)))
    return tuple(read)


def _read_tls(values: Mapping[str, str]) -> dict[str, str]:
    tls = {name: values[name] for name in _TLS if values.get(name)}
    if tls.get("sslmode", _MODES[0]) not in _MODES:
        raise _refused(f"sslmode: must be {', '.join(_MODES)}")
    if tls.get("sslrootcert") == "system":
        trusted = ssl.get_default_verify_paths().cafile
        if trusted is None:
            raise _refused("sslrootcert: where this system keeps its authorities is not known; name the file")
        tls["sslrootcert"] = trusted
        tls.setdefault("sslmode", "verify-full")
    for name in _FILES:
        if name in tls and not Path(tls[name]).expanduser().is_file():
            raise _refused(f"{name}: there is no such file")
    return {name: str(Path(value).expanduser()) if name in _FILES else value for name, value in tls.items()}


def _read_timeout(text: str) -> float:
    if not text:
        return CONNECT_S
    if not (text.isascii() and text.isdigit()):
        raise _refused("connect_timeout: must be a whole number of seconds")
    return float(text) or CONNECT_S


def _refused(why: str) -> ValueError:
    return ValueError(f"the store's address: {why}")
