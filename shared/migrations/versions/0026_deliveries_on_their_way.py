"""An index of the deliveries that are on their way, beside that of those that wait: what is due for another attempt.

Revision ID: 0026
Revises: 0025
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX ix_delivery_on_its_way ON delivery (subscription_id, next_attempt_at, position)
        WHERE subscription_id IS NOT NULL AND delivered_at IS NULL AND dropped_at IS NULL AND digest_id = id
        """
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_delivery_on_its_way")
