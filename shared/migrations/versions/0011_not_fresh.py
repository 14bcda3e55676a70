"""The installations that are not fresh, which are few, have an index of their own: for lists of them and for counts.

Revision ID: 0011
Revises: 0010
"""

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEX, TABLE = "ix_installation_status_not_fresh", "installation_status"


def upgrade() -> None:
    op.create_index(
        INDEX,
        TABLE,
        ["tenant_id", "state", text("last_reading_at NULLS FIRST"), "installation_id"],
        postgresql_where=text("state <> 'fresh'"),
    )


def downgrade() -> None:
    op.drop_index(INDEX, TABLE)
