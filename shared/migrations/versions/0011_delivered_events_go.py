"""Events that were delivered long ago are removed: alerts may, and an index finds them by when they were.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT DELETE ON delivery TO mbus_alerts")
    op.execute("CREATE INDEX ix_delivery_delivered ON delivery (delivered_at) WHERE delivered_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX ix_delivery_delivered")
    op.execute("REVOKE DELETE ON delivery FROM mbus_alerts")
