"""How often keys call at each service, which the others take from what they allow."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_rate",
        sa.Column("service", sa.String(length=32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("service", name="pk_call_rate"),
    )


def downgrade() -> None:
    op.drop_table("call_rate")
