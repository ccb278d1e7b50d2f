"""PostgreSQL tells workers of changes; see ``store.listening``. Triggers, so that no statement can forget to.

``run``: a task is due now. ``worker``: it got an order. Equal notifications of one transaction are one.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE FUNCTION streamferry_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'worker' THEN
        PERFORM pg_notify('streamferry', NEW.id);
    ELSE
        PERFORM pg_notify('streamferry', '');
    END IF;
    RETURN NULL;
END $$
"""
_NOW = "EXTRACT(EPOCH FROM statement_timestamp()) * 1000"
_TRIGGERS = (
    f"CREATE TRIGGER tell_due AFTER INSERT OR UPDATE OF due_ms ON run FOR EACH ROW WHEN (NEW.due_ms <= {_NOW}) "
    "EXECUTE FUNCTION streamferry_tell()",
    "CREATE TRIGGER tell_orders AFTER UPDATE OF orders ON worker FOR EACH ROW WHEN (NEW.orders <> OLD.orders) "
    "EXECUTE FUNCTION streamferry_tell()",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in (_FUNCTION, *_TRIGGERS):
            op.execute(statement)
