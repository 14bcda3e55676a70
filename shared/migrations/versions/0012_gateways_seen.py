"""When a gateway had been heard as it was judged: one that spoke of old and is silent still is looked at once.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE gateway_status ADD COLUMN heard_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE gateway_status DROP COLUMN heard_at")
