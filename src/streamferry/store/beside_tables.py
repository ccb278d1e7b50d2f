"""What a store in PostgreSQL has beside the tables of ``schema``: which transaction wrote an event, and who is told.

Triggers tell workers of changes (see ``listening``), so that no statement can forget to. As with the tables, a change
here needs a migration, and a test compares the two.
"""

_TELL = """
CREATE FUNCTION streamferry_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'worker' THEN
        PERFORM pg_notify('streamferry', NEW.id);
    ELSE
        PERFORM pg_notify('streamferry', (SELECT placement FROM task WHERE id = NEW.task_id));
    END IF;
    RETURN NULL;
END $$
"""
_NOW = "EXTRACT(EPOCH FROM statement_timestamp()) * 1000"

#: In the order in which a new store gets them.
STATEMENTS = (
    "ALTER TABLE event ALTER COLUMN xid SET DEFAULT pg_current_xact_id()",
    _TELL,
    f"CREATE TRIGGER tell_due AFTER INSERT OR UPDATE OF due_ms ON run FOR EACH ROW WHEN (NEW.due_ms <= {_NOW}) "
    "EXECUTE FUNCTION streamferry_tell()",
    "CREATE TRIGGER tell_orders AFTER UPDATE OF orders ON worker FOR EACH ROW WHEN (NEW.orders <> OLD.orders) "
    "EXECUTE FUNCTION streamferry_tell()",
)
