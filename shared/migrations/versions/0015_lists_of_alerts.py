"""Indexes for lists of alerts by what few of them are: of a gateway, acknowledged, snoozed.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_alert_gateway_silent": "type = 'gateway.silent'",
    "ix_alert_acknowledged": "acknowledged_at IS NOT NULL",
    "ix_alert_snoozed": "snoozed_until IS NOT NULL",
}


def upgrade() -> None:
    for name, few in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON alert (tenant_id, opened_at, id) WHERE {few}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
