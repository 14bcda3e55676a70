"""Row-level security lets alerts alone see every tenant's subscriptions: they are none of ingest's.

Revision ID: 0027
Revises: 0026
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLES = ("subscription", "subscription_secret")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER POLICY of_every_tenant ON {table} TO mbus_alerts")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER POLICY of_every_tenant ON {table} TO mbus_ingest, mbus_alerts")
