"""Reminders of silence that lasts: how often a policy wants them, and when each alert was last told again.

Revision ID: 0024
Revises: 0023
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE policy ADD COLUMN remind_every interval")
    op.execute(
        "ALTER TABLE policy ADD CONSTRAINT ck_policy_reminders_bounded"
        " CHECK (remind_every >= interval '1 hour' AND remind_every <= interval '90 days')"
    )
    op.execute("CREATE INDEX ix_policy_reminding ON policy (tenant_id, remind_every) WHERE remind_every IS NOT NULL")
    op.execute("ALTER TABLE alert ADD COLUMN reminded_at timestamptz")
    # What is not due is not read, however much is open.
    op.execute(
        "CREATE INDEX ix_alert_to_remind ON alert (tenant_id, greatest(opened_at, reminded_at))"
        " WHERE closed_at IS NULL AND acknowledged_at IS NULL AND opened_because = 'silence'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE alert DROP COLUMN reminded_at")
    op.execute("ALTER TABLE policy DROP COLUMN remind_every")
