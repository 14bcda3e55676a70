"""Quarantine knows what replays need: the format, when the original was received, and what a reading waits for.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "quarantined_reading"
UNIQUE = "uq_quarantined_reading_original"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("format", sa.Text(), server_default=sa.text("'readings'"), nullable=False))
    op.add_column(TABLE, sa.Column("may_correct", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column(TABLE, sa.Column("awaits", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("reading_timestamp", sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("auto_replayed_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index(UNIQUE, TABLE)
    op.create_index(UNIQUE, TABLE, ["gateway_id", "original_sha256", "reason", "format"], unique=True)
    # What older rows wait for stands in their text only; for those of unknown gateways it is plain.
    op.execute(
        "UPDATE quarantined_reading SET awaits = gateway_id, reading_timestamp = first_seen_at"
        " WHERE reason = 'unknown_gateway' AND replayed_at IS NULL"
    )
    op.create_index(
        "ix_quarantined_reading_awaits",
        TABLE,
        ["gateway_id", "format", "reason", "awaits", "reading_timestamp"],
        unique=False,
        postgresql_where=sa.text("replayed_at IS NULL AND awaits IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_quarantined_reading_awaits", TABLE)
    op.drop_index(UNIQUE, TABLE)
    # Without the format, some of these would be equal.
    op.execute("DELETE FROM quarantined_reading WHERE format <> 'readings'")
    op.create_index(UNIQUE, TABLE, ["gateway_id", "original_sha256", "reason"], unique=True)
    for column in ("auto_replayed_at", "reading_timestamp", "awaits", "may_correct", "format"):
        op.drop_column(TABLE, column)
