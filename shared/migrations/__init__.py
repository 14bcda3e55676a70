"""The database's schema as Alembic revisions, and the way to apply them from a program."""
