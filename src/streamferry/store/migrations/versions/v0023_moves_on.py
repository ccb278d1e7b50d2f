"""Tasks whose window recurs."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("moves_on_ms", sa.BigInteger(), nullable=True))
    op.create_index("ix_task_moves_on_ms", "task", ["moves_on_ms"])
