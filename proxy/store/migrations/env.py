"""Run migrations on the connection that `proxy.store.session` hands over."""

from alembic import context

from proxy.store.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
