"""Sums of usage. What is there by the minute is moved into them by the service, a minute at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_sum",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=65), nullable=False),
        sa.Column("begin_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("group_name", sa.String(length=64), nullable=False),
        sa.Column("streamed_ms", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("most_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("step_s", "subject", "begin_ms", "group_name", name="pk_usage_sum"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_sum_step_s_begin_ms", "usage_sum", ["step_s", "begin_ms"])
