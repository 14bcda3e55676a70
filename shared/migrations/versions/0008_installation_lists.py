"""Indexes for lists and counts of installations: by property, by serial with filters, and of those that are not fresh.

Revision ID: 0008
Revises: 0007
"""

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OF_SERIALS, INSTALLATIONS = "uq_meter_installation_tenant_id_meter_serial", "meter_installation"
UNDELETED = text("deleted_at IS NULL")

NOT_FRESH, STATUSES = "ix_installation_status_not_fresh", "installation_status"


def upgrade() -> None:
    op.create_index(op.f("ix_unit_property_id"), "unit", ["property_id"])
    # A search reads one index: the unique one has with the serials what a list is filtered by.
    _make_unique(with_them=["id", "unit_id", "medium"])
    # They are few.
    op.create_index(
        NOT_FRESH,
        STATUSES,
        ["tenant_id", "state", text("last_reading_at NULLS FIRST"), "installation_id"],
        postgresql_where=text("state <> 'fresh'"),
    )


def downgrade() -> None:
    op.drop_index(NOT_FRESH, STATUSES)
    _make_unique(with_them=[])
    op.drop_index(op.f("ix_unit_property_id"), "unit")


def _make_unique(*, with_them: list[str]) -> None:
    op.drop_index(OF_SERIALS, INSTALLATIONS)
    op.create_index(
        OF_SERIALS,
        INSTALLATIONS,
        ["tenant_id", "meter_serial"],
        unique=True,
        postgresql_where=UNDELETED,
        postgresql_include=with_them,
    )
