"""Maintenance windows: when a tenant expects silence, and what they hold.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

API = "mbus_alerts_api"

TABLE = """
    CREATE TABLE maintenance_window (
        id uuid DEFAULT gen_random_uuid() NOT NULL,
        tenant_id uuid NOT NULL,
        installation_id uuid,
        property_id uuid,
        gateway_id text,
        starts_at timestamptz,
        ends_at timestamptz,
        weekdays smallint[] DEFAULT '{}'::smallint[] NOT NULL,
        from_time time,
        until_time time,
        valid_from date,
        valid_until date,
        time_zone text,
        note text,
        created_at timestamptz DEFAULT now() NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        updated_by text,
        CONSTRAINT pk_maintenance_window PRIMARY KEY (id),
        CONSTRAINT fk_maintenance_window_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenant (id),
        CONSTRAINT fk_maintenance_window_installation_id
            FOREIGN KEY (installation_id) REFERENCES meter_installation (id),
        CONSTRAINT fk_maintenance_window_property_id FOREIGN KEY (property_id) REFERENCES property (id),
        CONSTRAINT fk_maintenance_window_gateway_id FOREIGN KEY (gateway_id) REFERENCES gateway (id),
        CONSTRAINT ck_maintenance_window_one_target
            CHECK (num_nonnulls(installation_id, property_id, gateway_id) <= 1),
        CONSTRAINT ck_maintenance_window_weekdays_exist CHECK (weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]),
        CONSTRAINT ck_maintenance_window_once_or_recurring
            CHECK ((starts_at IS NULL) = (cardinality(weekdays) > 0)),
        CONSTRAINT ck_maintenance_window_times_are_a_range CHECK (
            starts_at IS NULL AND ends_at IS NULL
            OR starts_at IS NOT NULL AND ends_at IS NOT NULL AND starts_at < ends_at),
        CONSTRAINT ck_maintenance_window_hours_are_a_range CHECK (
            from_time IS NULL AND until_time IS NULL
            OR from_time IS NOT NULL AND until_time IS NOT NULL AND from_time <> until_time),
        CONSTRAINT ck_maintenance_window_dates_are_a_range CHECK (valid_from <= valid_until),
        CONSTRAINT ck_maintenance_window_once_has_no_hours CHECK (
            starts_at IS NULL OR num_nonnulls(from_time, until_time, valid_from, valid_until, time_zone) = 0)
    )
"""

TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"
PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

# A foreign key does not ask whose its target is.
OWN_TARGETS = (
    "(installation_id IS NULL OR EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id))"
    " AND (property_id IS NULL OR EXISTS (SELECT FROM property p WHERE p.id = property_id))"
    " AND (gateway_id IS NULL OR EXISTS (SELECT FROM gateway g WHERE g.id = gateway_id))"
)

# As the policies of 0010: what is of the whole tenant is seen by everybody whom it concerns.
WITHIN_PROPERTIES = " OR ".join(
    (
        "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)",
        f"property_id = ANY ({PROPERTIES})",
        "EXISTS (SELECT FROM gateway g WHERE g.id = maintenance_window.gateway_id)",
        "num_nonnulls(installation_id, property_id, gateway_id) = 0",
    )
)

# As its owner: a narrowed caller sees no meter elsewhere, and would find none. Of a gateway that is nobody's, or of
# another tenant, it says the same as of one that hears nothing.
IS_WITHIN = """
    CREATE FUNCTION gateway_is_within(gateway text, properties uuid[]) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT NOT EXISTS (
            SELECT FROM public.meter_installation i JOIN public.unit u ON u.id = i.unit_id
            WHERE i.gateway_id = gateway AND i.deleted_at IS NULL AND u.property_id <> ALL (properties)
              AND i.tenant_id = nullif(current_setting('mbus.tenant_id', true), '')::uuid)
    $$
"""

# Changed by who may see all that it is of.
MAY_CHANGE = (
    f"{PROPERTIES} IS NULL OR installation_id IS NOT NULL OR property_id IS NOT NULL"
    f" OR gateway_id IS NOT NULL AND gateway_is_within(gateway_id, {PROPERTIES})"
)

# As its owner: who changes a window may not change when deliveries are tried. What it held is looked at again by who
# sends it, and may be held still.
HAS_CHANGED = """
    CREATE FUNCTION maintenance_window_has_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        UPDATE public.delivery SET next_attempt_at = least(next_attempt_at, now())
        WHERE held_by = OLD.id AND delivered_at IS NULL AND dropped_at IS NULL;
        RETURN NULL;
    END $$
"""
TRIGGER = """
    CREATE TRIGGER maintenance_window_has_changed AFTER UPDATE OR DELETE ON maintenance_window
    FOR EACH ROW EXECUTE FUNCTION maintenance_window_has_changed()
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX ix_maintenance_window_tenant_id ON maintenance_window (tenant_id, id)")
    op.execute(IS_WITHIN)
    op.execute(HAS_CHANGED)
    op.execute(TRIGGER)
    op.execute("REVOKE ALL ON FUNCTION gateway_is_within(text, uuid[]) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION gateway_is_within(text, uuid[]) TO {API}")
    op.execute("GRANT SELECT ON maintenance_window TO mbus_alerts")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_window TO {API}")
    op.execute("ALTER TABLE maintenance_window ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY of_every_tenant ON maintenance_window TO mbus_alerts USING (true)")
    op.execute(
        f"CREATE POLICY of_tenant_for_alerts ON maintenance_window TO {API}"
        f" USING (tenant_id = {TENANT} AND {OWN_TARGETS})"
    )
    op.execute(
        f"CREATE POLICY of_properties_for_alerts ON maintenance_window AS RESTRICTIVE TO {API}"
        f" USING ({PROPERTIES} IS NULL OR {WITHIN_PROPERTIES})"
    )
    for verb in ("INSERT", "UPDATE", "DELETE"):
        using = "WITH CHECK" if verb == "INSERT" else "USING"
        op.execute(
            f"CREATE POLICY whole_targets_{verb.lower()} ON maintenance_window AS RESTRICTIVE FOR {verb} TO {API}"
            f" {using} ({MAY_CHANGE})"
        )


def downgrade() -> None:
    op.execute("DROP TABLE maintenance_window")
    op.execute("DROP FUNCTION maintenance_window_has_changed()")
    op.execute("DROP FUNCTION gateway_is_within(text, uuid[])")
