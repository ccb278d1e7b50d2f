"""Pictures of watermarks in a table of their own, each once, so that lists need not carry them."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    picture = op.create_table(
        "picture",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_picture"),
    )
    op.add_column("task_spec", sa.Column("picture_digest", sa.String(length=64), nullable=True))
    op.create_index("ix_task_spec_picture_digest", "task_spec", ["picture_digest"])
    old = sa.table("task_spec", sa.column("task_id"), sa.column("picture"), sa.column("picture_digest"))
    connection = op.get_bind()
    task_ids = list(connection.execute(sa.select(old.c.task_id).where(old.c.picture.is_not(None))).scalars())
    moved: set[str] = set()
    # One by one: they may be 2 MB each.
    for task_id in task_ids:
        data = bytes(connection.execute(sa.select(old.c.picture).where(old.c.task_id == task_id)).scalar_one())
        digest = hashlib.sha256(data).hexdigest()
        if digest not in moved:
            media_type = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            row = {"digest": digest, "media_type": media_type, "size_bytes": len(data), "data": data}
            connection.execute(picture.insert(), row)
            moved.add(digest)
        change = old.update().where(old.c.task_id == task_id)
        connection.execute(change.values(picture=None, picture_digest=digest))
    with op.batch_alter_table("task_spec") as batch:
        batch.drop_column("picture")
