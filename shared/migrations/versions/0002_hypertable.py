"""`reading` is a hypertable where TimescaleDB is loaded, and a plain table where it is not.

Revision ID: 0002
Revises: 0001
"""

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Chunks of 30 days: with 7 days, three years are 157 chunks, the merge is a third slower and a page 8 times.
CHUNK = "30 days"


def upgrade() -> None:
    # Its settings are there only where the server loaded it at its start; what is merely installed cannot be used. And
    # unlike `shared_preload_libraries`, everyone may look at them.
    loaded = op.get_bind().scalar(
        text("SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers')")
    )
    # A database can be told to do without it: ALTER DATABASE … SET mbus.hypertable = off, before `mbus migrate`.
    wanted = op.get_bind().scalar(
        text("SELECT coalesce(current_setting('mbus.hypertable', true), '') NOT IN ('off', 'false')")
    )
    if loaded and wanted:
        op.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        # The primary key is the only index: a second one on time alone would cost write speed and serve no query.
        op.execute(
            f"SELECT create_hypertable('reading', by_range('timestamp', interval '{CHUNK}'),"
            " create_default_indexes => false)"
        )


def downgrade() -> None:
    """Nothing to undo: 0001 drops the table, hypertable or not."""
