"""How Alembic reaches the store: over the connection and in the transaction that ``store.migrate`` gives it."""

from alembic import context

from streamferry.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a column in place.
    render_as_batch=True,
)
context.run_migrations()
