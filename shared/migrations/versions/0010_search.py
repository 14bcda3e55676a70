"""A search for installations reads one index: the unique one of serials has with them what a list is filtered by.

Revision ID: 0010
Revises: 0009
"""

from alembic import op
from sqlalchemy import text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEX, TABLE, COLUMNS = (
    "uq_meter_installation_tenant_id_meter_serial",
    "meter_installation",
    ["tenant_id", "meter_serial"],
)
UNDELETED = text("deleted_at IS NULL")


def upgrade() -> None:
    op.drop_index(INDEX, TABLE)
    op.create_index(
        INDEX,
        TABLE,
        COLUMNS,
        unique=True,
        postgresql_where=UNDELETED,
        postgresql_include=["id", "unit_id", "medium"],
    )


def downgrade() -> None:
    op.drop_index(INDEX, TABLE)
    op.create_index(INDEX, TABLE, COLUMNS, unique=True, postgresql_where=UNDELETED)
