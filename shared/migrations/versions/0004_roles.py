"""A role for each service with what it needs, and the isolation of tenants by row-level security.

Roles belong to the whole server and may exist already, from another database or an earlier life of this one.

Revision ID: 0004
Revises: 0003
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROLES = ("mbus_ingest", "mbus_query", "mbus_alerts", "mbus_reader")

GRANTS = {
    "mbus_ingest": {
        "gateway, meter_installation": "SELECT",
        "reading": "SELECT, INSERT, UPDATE",
        "reading_correction": "INSERT",
        "quarantined_reading": "SELECT, INSERT, UPDATE",
    },
    "mbus_query": {
        "tenant, property, property_config, unit, gateway, meter_installation, installation_status": "SELECT",
    },
    "mbus_alerts": {
        "tenant, property, unit, meter_installation": "SELECT",
        "installation_status": "SELECT, UPDATE",
        "alert, delivery": "SELECT, INSERT, UPDATE",
    },
    "mbus_reader": {"meter_installation, reading": "SELECT"},
}

# The setting is '' after a transaction that set it, hence the nullif.
TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"

OF_TENANT = {
    "tenant": f"id = {TENANT}",
    "property": f"tenant_id = {TENANT}",
    # Through `property`, which is under its own policy.
    "property_config": "EXISTS (SELECT FROM property p WHERE p.id = property_id)",
    "unit": "EXISTS (SELECT FROM property p WHERE p.id = property_id)",
    "gateway": f"tenant_id = {TENANT}",
    "meter_installation": f"tenant_id = {TENANT}",
    "installation_status": f"tenant_id = {TENANT}",
    "alert": f"tenant_id = {TENANT}",
    "delivery": f"tenant_id = {TENANT}",
}


def upgrade() -> None:
    for role in ROLES:
        op.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN;"
            " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
    for role, grants in GRANTS.items():
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        for tables, privileges in grants.items():
            op.execute(f"GRANT {privileges} ON {tables} TO {role}")
    # For the table that COPY fills before the merge.
    database = op.get_bind().scalar(text("SELECT quote_ident(current_database())"))
    op.execute(f"GRANT TEMPORARY ON DATABASE {database} TO mbus_ingest")

    for table, condition in OF_TENANT.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_tenant ON {table} TO mbus_query, mbus_reader USING ({condition})")
        op.execute(f"CREATE POLICY of_every_tenant ON {table} TO mbus_ingest, mbus_alerts USING (true)")

    # The query role has no right on `reading`. This function, owned by a role that is under the policy itself, reads
    # it in the one round trip that sets the tenant too (docs/architecture/isolation.md).
    op.execute(
        """
        CREATE FUNCTION readings_page(of_tenant uuid, of_installation uuid, before timestamptz, page_size integer)
        RETURNS TABLE (meter_installation_id uuid, "timestamp" timestamptz, value double precision,
                       rssi_dbm smallint, battery_level_pct smallint, received_at timestamptz)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM set_config('mbus.tenant_id', of_tenant::text, true);
            IF NOT EXISTS (SELECT FROM public.meter_installation i WHERE i.id = of_installation) THEN
                RAISE EXCEPTION 'no such installation' USING ERRCODE = 'no_data_found';
            END IF;
            RETURN QUERY
                SELECT r.meter_installation_id, r.timestamp, r.value, r.rssi_dbm, r.battery_level_pct, r.received_at
                FROM public.reading r
                WHERE r.meter_installation_id = of_installation AND r.timestamp < before
                ORDER BY r.timestamp DESC
                LIMIT page_size;
        END $$
        """
    )
    signature = "readings_page(uuid, uuid, timestamptz, integer)"
    # To hand the function over, its owner must be a member of the new owner, which must be allowed to create it.
    op.execute("GRANT mbus_reader TO current_user")
    op.execute("GRANT CREATE ON SCHEMA public TO mbus_reader")
    op.execute(f"ALTER FUNCTION {signature} OWNER TO mbus_reader")
    op.execute("REVOKE CREATE ON SCHEMA public FROM mbus_reader")
    op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO mbus_query")


def downgrade() -> None:
    """Take back what the roles may do here; the roles stay, because other databases may use them."""
    op.execute("DROP FUNCTION readings_page(uuid, uuid, timestamptz, integer)")
    for table in OF_TENANT:
        op.execute(f"DROP POLICY of_every_tenant ON {table}")
        op.execute(f"DROP POLICY of_tenant ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    for role, grants in GRANTS.items():
        for tables in grants:
            op.execute(f"REVOKE ALL ON {tables} FROM {role}")
        op.execute(f"REVOKE USAGE ON SCHEMA public FROM {role}")
    database = op.get_bind().scalar(text("SELECT quote_ident(current_database())"))
    op.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM mbus_ingest")
