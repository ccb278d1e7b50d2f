"""Where tasks want to run, what workers are, and tasks on their way to another worker."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ADDED = {
    "task": (
        sa.Column("placement", sa.Text(), nullable=False, server_default=""),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("encodes", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("source_digest", sa.String(length=32), nullable=True),
    ),
    "run": (sa.Column("moves", sa.Boolean(), nullable=False, server_default=sa.false()),),
    "worker": (
        sa.Column("labels", sa.Text(), nullable=False, server_default=""),
        sa.Column("max_kbps", sa.Integer(), nullable=True),
        sa.Column("max_encodes", sa.Integer(), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("intent", sa.String(length=16), nullable=False, server_default="open"),
        sa.Column("intent_ms", sa.BigInteger(), nullable=True),
    ),
}


def upgrade() -> None:
    for table, columns in _ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.create_index("ix_task_source_digest", "task", ["source_digest"])


def downgrade() -> None:
    op.drop_index("ix_task_source_digest", "task")
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)
