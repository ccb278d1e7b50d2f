"""Series with the slate between their windows."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("opens_ms", sa.BigInteger(), nullable=True))
    op.add_column("run", sa.Column("counted_before", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "counted_before")
    op.drop_column("task", "opens_ms")
