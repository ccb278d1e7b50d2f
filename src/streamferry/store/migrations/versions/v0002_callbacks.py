"""Callbacks that are sent: a mailbox for each task with an address, deliveries that hold what is told, a secret."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailbox",
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("sealed_url", sa.LargeBinary(), nullable=True),
        sa.Column("host_digest", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("task_id", name="pk_mailbox"),
    )
    op.create_index("ix_mailbox_due_ms", "mailbox", ["due_ms"])
    # Titles and hosts are sealed, and a migration has no key: the folded title does until the task is changed, and
    # each task counts as a host of its own.
    op.execute(
        "INSERT INTO mailbox (task_id, sealed_url, host_digest, title, last_number, failures) "
        "SELECT task_spec.task_id, task_spec.sealed_callback, task_spec.task_id, task.title_folded, 0, 0 "
        "FROM task_spec JOIN task ON task.id = task_spec.task_id WHERE task_spec.sealed_callback IS NOT NULL"
    )
    with op.batch_alter_table("task_spec") as batch:
        batch.drop_column("sealed_callback")
    # Nothing was ever sent from it.
    op.drop_table("delivery")
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owed_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_ms", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
    )
    op.create_index("ix_delivery_task_id_number", "delivery", ["task_id", "number"], unique=True)
    op.create_index("ix_delivery_state_task_id_number", "delivery", ["state", "task_id", "number"])
    op.create_index("ix_delivery_state_settled_ms", "delivery", ["state", "settled_ms"])
    op.create_table(
        "callback_secret",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callback_secret"),
    )
