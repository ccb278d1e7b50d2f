"""The tables of who may call: keys, who is signed in, who failed to, and how often they call."""

import sqlalchemy as sa

from streamferry.store.schema_base import metadata

access_key = sa.Table(
    "access_key",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False, server_default=sa.false()),
)

#: Who is signed in to the dashboard: a digest of the token, and which key, as it was then.
dashboard_session = sa.Table(
    "dashboard_session",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("access_key_id", sa.String(128), nullable=False),
    sa.Column("key_ms", sa.BigInteger, nullable=False),
    sa.Column("ends_ms", sa.BigInteger, nullable=False),
    sa.Index(None, "ends_ms"),
)

#: Failed sign-ins, by keyed digests of what they are counted by; ``until_ms``: when the next try may come.
sign_in_failure = sa.Table(
    "sign_in_failure",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)

#: How many calls a second each service has allowed lately (see ``call_rates``). ``rates``: JSON, by names with ids of
#: keys.
call_rate = sa.Table(
    "call_rate",
    metadata,
    sa.Column("service", sa.String(32), primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("rates", sa.Text, nullable=False),
)
