"""The log of deliveries: indexes for its filters, and what asking for a delivery again changes.

Revision ID: 0025
Revises: 0024
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

API = "mbus_alerts_api"

# By when the event was made, which is what a caller asks for; `position` where that is the same. Each delivery to a
# subscription is in the two indexes of its state, so that the few of 100,000 that are in one, or of a type, are found
# without reading the others.
INDEX = "CREATE INDEX {name} ON delivery ({of}, created_at, position) WHERE subscription_id IS NOT NULL{state}"
STATES = {
    "pending": " AND delivered_at IS NULL AND dropped_at IS NULL",
    "delivered": " AND delivered_at IS NOT NULL",
    "dropped": " AND dropped_at IS NOT NULL",
}


def upgrade() -> None:
    op.execute("DROP INDEX ix_delivery_log, ix_delivery_subscription_id")
    op.execute(INDEX.format(name="ix_delivery_log", of="tenant_id", state=""))
    for name, state in STATES.items():
        op.execute(INDEX.format(name=f"ix_delivery_log_{name}", of="subscription_id", state=state))
        op.execute(INDEX.format(name=f"ix_delivery_log_{name}_type", of="subscription_id, event_type", state=state))
    op.execute(f"GRANT UPDATE (digest_id, held_by) ON delivery TO {API}")


def downgrade() -> None:
    op.execute(f"REVOKE UPDATE (digest_id, held_by) ON delivery FROM {API}")
    op.execute("DROP INDEX ix_delivery_log")
    for name in STATES:
        op.execute(f"DROP INDEX ix_delivery_log_{name}, ix_delivery_log_{name}_type")
    for name, of in (("log", "tenant_id"), ("subscription_id", "subscription_id")):
        op.execute(f"CREATE INDEX ix_delivery_{name} ON delivery ({of}, position) WHERE subscription_id IS NOT NULL")
