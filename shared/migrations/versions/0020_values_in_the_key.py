"""The primary key's index of readings holds their values too, so that a meter's year is read from it alone.

Readings lie in the order in which they came: of one meter each hour's on another page of the table, and so a year's on
8,760 pages. In the index they lie side by side, some ninety on a page (docs/architecture/storage.md).

It is built anew, about a second for a million readings, in which nobody can write or read them: ingest waits, and query
answers 503 or 504 (docs/operations.md).

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

KEY = "PRIMARY KEY (meter_installation_id, timestamp)"

# The table must not be looked into for what is visible, which vacuum notes: sooner than after a fifth is new.
NOTED_AFTER = "autovacuum_vacuum_insert_scale_factor"


def upgrade() -> None:
    _rebuild(f"{KEY} INCLUDE (value)")
    op.execute(f"ALTER TABLE reading SET ({NOTED_AFTER} = 0.05)")


def downgrade() -> None:
    op.execute(f"ALTER TABLE reading RESET ({NOTED_AFTER})")
    _rebuild(KEY)


def _rebuild(key: str) -> None:
    # It takes as long as there are readings.
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(f"ALTER TABLE reading DROP CONSTRAINT pk_reading, ADD CONSTRAINT pk_reading {key}")
