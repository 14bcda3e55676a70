"""Lists of installations that stay quick: policies that the planner can see through, and units by property.

`IN (SELECT …)` in a policy is a hash table that the planner charges to every single look-up by key, also of callers
who are not narrowed and never fill it: a join of two tables under such a policy became a scan of both.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

OF_PROPERTIES = {
    "meter_installation": (
        f"unit_id IN (SELECT u.id FROM unit u WHERE u.property_id = ANY ({PROPERTIES}))",  # noqa: S608 - a constant
        f"EXISTS (SELECT FROM unit u WHERE u.id = unit_id AND u.property_id = ANY ({PROPERTIES}))",
    ),
    "installation_status": (
        "installation_id IN (SELECT i.id FROM meter_installation i)",
        "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)",
    ),
    "gateway": (
        "id IN (SELECT i.gateway_id FROM meter_installation i)",
        "EXISTS (SELECT FROM meter_installation i WHERE i.gateway_id = gateway.id)",
    ),
}


def upgrade() -> None:
    op.create_index(op.f("ix_unit_property_id"), "unit", ["property_id"])
    for table, (_, condition) in OF_PROPERTIES.items():
        op.execute(f"ALTER POLICY of_properties ON {table} USING ({PROPERTIES} IS NULL OR {condition})")


def downgrade() -> None:
    for table, (condition, _) in OF_PROPERTIES.items():
        op.execute(f"ALTER POLICY of_properties ON {table} USING ({PROPERTIES} IS NULL OR {condition})")
    op.drop_index(op.f("ix_unit_property_id"), "unit")
