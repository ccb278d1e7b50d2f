"""PostgreSQL tells of a due task with the labels that it asks for, so that only workers with them ask."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE OR REPLACE FUNCTION streamferry_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'worker' THEN
        PERFORM pg_notify('streamferry', NEW.id);
    ELSE
        PERFORM pg_notify('streamferry', {whom});
    END IF;
    RETURN NULL;
END $$
"""
_LABELS = "(SELECT placement FROM task WHERE id = NEW.task_id)"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION.format(whom=_LABELS))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION.format(whom="''"))
