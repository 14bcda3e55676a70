"""Numbers of alert events, in an order in which nobody who reads along them misses one.

docs/architecture/alert-stream.md says why each is as it is.

Revision ID: 0023
Revises: 0022
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

API = "mbus_alerts_api"

TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"
PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

OF_TENANTS = "subscription_id IS NULL AND tenant_id IS NOT NULL"

TABLES = (
    """
    CREATE TABLE alert_stream (
        tenant_id uuid NOT NULL,
        newest bigint NOT NULL,
        removed bigint DEFAULT 0 NOT NULL,
        CONSTRAINT pk_alert_stream PRIMARY KEY (tenant_id)
    ) WITH (fillfactor = 50)
    """,
    "ALTER TABLE delivery ADD COLUMN number bigint",
    # Those that there are have been committed: in the order in which they were made.
    f"""
    UPDATE delivery d SET number = made.number
    FROM (SELECT id, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
                     + row_number() OVER (PARTITION BY tenant_id ORDER BY position) AS number
          FROM delivery WHERE {OF_TENANTS}) made
    WHERE made.id = d.id
    """,  # noqa: S608 - of a constant
    """
    INSERT INTO alert_stream (tenant_id, newest)
    SELECT tenant_id, max(number) FROM delivery WHERE number IS NOT NULL GROUP BY tenant_id
    """,
    "CREATE UNIQUE INDEX uq_delivery_number ON delivery (tenant_id, number) WHERE number IS NOT NULL",
    f"CREATE INDEX ix_delivery_unnumbered ON delivery (position) WHERE number IS NULL AND {OF_TENANTS}",
)

# What a token that is narrowed sees are the events of alerts that it sees.
IN_STREAM = (
    f"number IS NOT NULL AND subscription_id IS NULL AND tenant_id = {TENANT}"
    f" AND ({PROPERTIES} IS NULL OR EXISTS (SELECT FROM alert a WHERE a.id = alert_id))"
)


def upgrade() -> None:
    # As many events as are kept.
    op.execute("SET LOCAL statement_timeout = 0")
    for statement in TABLES:
        op.execute(statement)
    op.execute("ALTER TABLE alert_stream ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY of_every_tenant ON alert_stream TO mbus_alerts USING (true)")
    op.execute(f"CREATE POLICY of_tenant_for_alerts ON alert_stream TO {API} USING (tenant_id = {TENANT})")
    op.execute(f"CREATE POLICY of_stream_for_alerts ON delivery FOR SELECT TO {API} USING ({IN_STREAM})")
    op.execute("GRANT SELECT, INSERT, UPDATE ON alert_stream TO mbus_alerts")
    op.execute(f"GRANT SELECT ON alert_stream TO {API}")


def downgrade() -> None:
    op.execute("DROP POLICY of_stream_for_alerts ON delivery")
    op.execute("ALTER TABLE delivery DROP COLUMN number")
    op.execute("DROP TABLE alert_stream")
