"""Which orders of a task were followed, so that none is twice."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("orders_done", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "orders_done")
