"""What Alembic runs: it applies the revisions on the connection that `runner.migrate` opened."""

from alembic import context

from shared.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
