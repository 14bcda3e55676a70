"""A gateway's own limit is bounded as those of tenants and policies are: one beyond the calendar stopped all judgement.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LONGEST = "interval '10 years'"


def upgrade() -> None:
    op.execute(f"UPDATE gateway SET silent_after = {LONGEST} WHERE silent_after > {LONGEST}")  # noqa: S608
    # A table with triggers that wait for the end of the transaction cannot be altered.
    op.execute("SET CONSTRAINTS registry_has_changed IMMEDIATE")
    op.execute(f"ALTER TABLE gateway ADD CONSTRAINT ck_gateway_silent_after_bounded CHECK (silent_after <= {LONGEST})")


def downgrade() -> None:
    op.execute("ALTER TABLE gateway DROP CONSTRAINT ck_gateway_silent_after_bounded")
