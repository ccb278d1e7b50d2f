"""How far the sound of live sources drifts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("sound_drift_ms", sa.BigInteger(), nullable=True))
