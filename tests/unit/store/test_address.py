"""Addresses of PostgreSQL, as providers hand them out and as people get them wrong."""

from pathlib import Path

import pytest

from streamferry.store.address import PostgresAddress, parse_postgresql


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://h/db", PostgresAddress((("h", 5432),), database="db")),
        ("postgres://u:p%40ss@h:6000/db", PostgresAddress((("h", 6000),), "u", "p@ss", "db")),
        ("postgresql+asyncpg://u@[::1]:6000/db", PostgresAddress((("::1", 6000),), "u", None, "db")),
        (
            "postgresql://u:p@h1:1,h2:2/db",
            PostgresAddress((("h1", 1), ("h2", 2)), "u", "p", "db", target="read-write"),
        ),
        (
            "postgresql://u@h1,h2/db?target_session_attrs=any&port=7",
            PostgresAddress((("h1", 7), ("h2", 7)), "u", None, "db"),
        ),
        (
            "postgresql:///db?host=h1:1&host=h2:2&user=u&password=p",
            PostgresAddress((("h1", 1), ("h2", 2)), "u", "p", "db", target="read-write"),
        ),
        ("postgresql:///db?host=/run/postgresql", PostgresAddress((("/run/postgresql", 5432),), database="db")),
        ("postgresql:///db", PostgresAddress((), database="db")),
        (
            "postgresql://h/db?sslmode=require&connect_timeout=9&application_name=sf",
            PostgresAddress(
                (("h", 5432),), database="db", tls={"sslmode": "require"}, connect_s=9, application_name="sf"
            ),
        ),
        ("postgresql://h/db?ssl=true", PostgresAddress((("h", 5432),), database="db", tls={"sslmode": "require"})),
        ("postgresql://h/db?channel_binding=prefer&gssencmode=disable", PostgresAddress((("h", 5432),), database="db")),
    ],
)
def test_what_libpq_reads_is_read(text: str, expected: PostgresAddress) -> None:
    """Hosts, credentials, TLS and time-outs, wherever in the address they stand."""
    assert parse_postgresql(text) == expected


def test_files_of_certificates_are_looked_for(tmp_path: Path) -> None:
    """At the start and not at the first failover."""
    (tmp_path / "ca.pem").write_text("x")
    address = parse_postgresql(f"postgresql://h/db?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem")
    assert address.tls == {"sslmode": "verify-full", "sslrootcert": f"{tmp_path}/ca.pem"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://u:planted@h/db?options=-cwork_mem=1", "options cannot be given"),
        ("postgresql://u:planted@h/db?pgbouncer=true", "'pgbouncer' is not known"),
        ("postgresql://u:planted@h/db?sslmode=yes", "sslmode: must be disable, allow"),
        ("postgresql://u:planted@h/db?sslrootcert=/no/such.pem", "sslrootcert: there is no such file"),
        ("postgresql://u:planted@h/db?target_session_attrs=standby", "target_session_attrs: must be any, read-write"),
        ("postgresql://u:planted@h/db?connect_timeout=soon", "connect_timeout: must be a whole number"),
        ("postgresql://u:planted@h/db?channel_binding=require", "channel_binding: is not supported"),
        ("postgresql://u:planted@h:port/db", "a port must be a number"),
        ("postgresql://u:planted@h:99999/db", "a port must be a number"),
        ("postgresql://u:planted#x@h/db", "holds a #"),
        ("postgresql://u:planted@[::1/db", "cannot be read"),
        ("postgresql://u:planted@h1,h2,h3/db?port=1,2", "port: there must be one for all"),
        ("postgresql://u:planted@h/db?sslmode", "cannot be read"),
    ],
)
def test_what_is_not_known_is_refused_by_name(text: str, words: str) -> None:
    """And nothing of the address is repeated but the name of the parameter."""
    with pytest.raises(ValueError, match="the store's address: ") as caught:
        parse_postgresql(text)
    assert words in str(caught.value)
    assert "planted" not in str(caught.value)


def test_a_password_is_not_in_what_is_shown_of_an_address() -> None:
    """As in a traceback or a log line of a debugger."""
    shown = repr(parse_postgresql("postgresql://u:planted@h/db?sslpassword=planted"))
    assert "planted" not in shown
