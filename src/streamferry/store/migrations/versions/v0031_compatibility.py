"""From which schema on programs may work with the store: a newer program tells the one before it."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    made = op.create_table(
        "compatibility",
        sa.Column("oldest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("oldest", name="pk_compatibility"),
    )
    op.bulk_insert(made, [{"oldest": down_revision}])


def downgrade() -> None:
    op.drop_table("compatibility")
