"""Who is signed in to the dashboard, and who failed to: for all services on the store."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dashboard_session",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("access_key_id", sa.String(length=128), nullable=False),
        sa.Column("key_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_dashboard_session"),
    )
    op.create_index("ix_dashboard_session_ends_ms", "dashboard_session", ["ends_ms"])
    op.create_table(
        "sign_in_failure",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sign_in_failure"),
    )


def downgrade() -> None:
    op.drop_table("sign_in_failure")
    op.drop_table("dashboard_session")
