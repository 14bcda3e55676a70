"""A caller may be narrowed to some properties of its tenant: the second setting that row-level security looks at.

The policies ask with EXISTS: `IN (SELECT …)` in a policy is a hash table that the planner charges to every single
look-up by key, also of callers who are not narrowed and never fill it. A join of two tables under such policies became
a scan of both.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# An array of UUIDs as text. Not set, or '' as after a transaction that set it: the whole tenant. '{}': nothing.
# Cast inside, so that the text is read once a statement; and outside, as ANY takes a bare SELECT for a set of rows.
PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

# Restrictive: these come on top of the policy of the tenant. Each names what is above it, which has one of its own;
# `unit` and `property_config` are visible with their property already.
OF_PROPERTIES = {
    "property": f"id = ANY ({PROPERTIES})",
    "meter_installation": f"EXISTS (SELECT FROM unit u WHERE u.id = unit_id AND u.property_id = ANY ({PROPERTIES}))",
    "installation_status": "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)",
    "gateway": "EXISTS (SELECT FROM meter_installation i WHERE i.gateway_id = gateway.id)",
}


def upgrade() -> None:
    for table, condition in OF_PROPERTIES.items():
        op.execute(
            f"CREATE POLICY of_properties ON {table} AS RESTRICTIVE TO mbus_query, mbus_reader"
            f" USING ({PROPERTIES} IS NULL OR {condition})"
        )
    # A policy looks with the rights of whom it holds for.
    op.execute("GRANT SELECT ON property, unit TO mbus_reader")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON property, unit FROM mbus_reader")
    for table in OF_PROPERTIES:
        op.execute(f"DROP POLICY of_properties ON {table}")
