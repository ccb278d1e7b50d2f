"""What reasons of runs and problems of callbacks are made from, so that they can be said in any language."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("reason_json", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("trouble_reason_json", sa.Text(), nullable=True))
    op.add_column("delivery", sa.Column("problem_json", sa.Text(), nullable=True))
