"""Alerts of gateways too, policies, and the rounds by which alerts knows up to when silence may be judged.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# For the alerts service's HTTP face, which takes this role for a transaction: it sees one tenant, the service all.
API = "mbus_alerts_api"

TABLES = """
    CREATE TABLE gateway_heard (
        gateway_id text NOT NULL,
        heard_at timestamptz NOT NULL,
        CONSTRAINT pk_gateway_heard PRIMARY KEY (gateway_id),
        CONSTRAINT fk_gateway_heard_gateway_id FOREIGN KEY (gateway_id) REFERENCES gateway (id)
    ) WITH (fillfactor = 50);

    CREATE TABLE gateway_status (
        gateway_id text NOT NULL,
        tenant_id uuid NOT NULL,
        registered_at timestamptz DEFAULT now() NOT NULL,
        state text DEFAULT 'heard' NOT NULL,
        state_since timestamptz DEFAULT now() NOT NULL,
        due_at timestamptz DEFAULT now(),
        rules_changed_at timestamptz,
        alert_id uuid,
        CONSTRAINT pk_gateway_status PRIMARY KEY (gateway_id),
        CONSTRAINT fk_gateway_status_gateway_id FOREIGN KEY (gateway_id) REFERENCES gateway (id),
        CONSTRAINT fk_gateway_status_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenant (id),
        CONSTRAINT fk_gateway_status_alert_id FOREIGN KEY (alert_id) REFERENCES alert (id),
        CONSTRAINT ck_gateway_status_state_is_known CHECK (state IN ('heard', 'silent'))
    );
    CREATE INDEX ix_gateway_status_tenant_id ON gateway_status (tenant_id);
    CREATE INDEX ix_gateway_status_due_at ON gateway_status (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX ix_gateway_status_silent ON gateway_status (gateway_id) WHERE state = 'silent';

    CREATE TABLE policy (
        id uuid DEFAULT gen_random_uuid() NOT NULL,
        tenant_id uuid NOT NULL,
        installation_id uuid,
        property_id uuid,
        medium text,
        stale_after interval NOT NULL,
        quiet_weekdays smallint[] DEFAULT '{}'::smallint[] NOT NULL,
        quiet_from time,
        quiet_until time,
        time_zone text,
        grace interval DEFAULT '00:00:00'::interval NOT NULL,
        note text,
        created_at timestamptz DEFAULT now() NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        updated_by text,
        CONSTRAINT pk_policy PRIMARY KEY (id),
        CONSTRAINT fk_policy_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenant (id),
        CONSTRAINT fk_policy_installation_id FOREIGN KEY (installation_id) REFERENCES meter_installation (id),
        CONSTRAINT fk_policy_property_id FOREIGN KEY (property_id) REFERENCES property (id),
        CONSTRAINT ck_policy_one_target CHECK (num_nonnulls(installation_id, property_id, medium) <= 1),
        CONSTRAINT ck_policy_medium_is_known CHECK (medium IS NULL OR medium IN
            ('heat', 'cooling', 'cold_water', 'warm_water', 'water', 'electricity', 'gas', 'heat_cost_allocator')),
        CONSTRAINT ck_policy_limit_bounded CHECK (stale_after > interval '0' AND stale_after <= interval '10 years'),
        CONSTRAINT ck_policy_grace_bounded CHECK (grace >= interval '0' AND grace <= interval '10 years'),
        CONSTRAINT ck_policy_weekdays_exist CHECK (quiet_weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]),
        CONSTRAINT ck_policy_a_weekday_counts CHECK (cardinality(quiet_weekdays) < 7),
        CONSTRAINT ck_policy_hours_are_a_range CHECK (
            quiet_from IS NULL AND quiet_until IS NULL
            OR quiet_from IS NOT NULL AND quiet_until IS NOT NULL AND quiet_from <> quiet_until)
    );
    CREATE UNIQUE INDEX uq_policy_installation_id ON policy (installation_id);
    CREATE UNIQUE INDEX uq_policy_property_id ON policy (property_id);
    CREATE UNIQUE INDEX uq_policy_medium ON policy (tenant_id, medium) WHERE medium IS NOT NULL;
    CREATE UNIQUE INDEX uq_policy_tenant ON policy (tenant_id)
        WHERE installation_id IS NULL AND property_id IS NULL AND medium IS NULL;
    CREATE INDEX ix_policy_tenant_id ON policy (tenant_id, id);

    CREATE TABLE pipeline (
        singleton boolean DEFAULT true NOT NULL,
        round bigint DEFAULT 0 NOT NULL,
        looked_at timestamptz,
        judged_until timestamptz,
        healthy_since timestamptz,
        reason text,
        degraded_since timestamptz,
        CONSTRAINT pk_pipeline PRIMARY KEY (singleton),
        CONSTRAINT ck_pipeline_one_row CHECK (singleton)
    ) WITH (fillfactor = 50);
    INSERT INTO pipeline DEFAULT VALUES;

    CREATE TABLE ingest_session (
        id uuid NOT NULL,
        started_at timestamptz DEFAULT now() NOT NULL,
        beat_at timestamptz DEFAULT now() NOT NULL,
        round bigint DEFAULT 0 NOT NULL,
        received bigint DEFAULT 0 NOT NULL,
        given_back bigint DEFAULT 0 NOT NULL,
        prioritised bigint DEFAULT 0 NOT NULL,
        CONSTRAINT pk_ingest_session PRIMARY KEY (id)
    ) WITH (fillfactor = 50);

    ALTER TABLE alert
        ADD COLUMN type text NOT NULL DEFAULT 'installation.stale',
        ADD COLUMN gateway_id text,
        ADD COLUMN since timestamptz,
        ADD COLUMN opened_because text NOT NULL DEFAULT 'silence',
        ADD COLUMN closed_because text,
        ADD COLUMN acknowledged_at timestamptz,
        ADD COLUMN acknowledged_by text,
        ADD COLUMN acknowledge_note text,
        ADD COLUMN snoozed_until timestamptz,
        ADD COLUMN snoozed_by text,
        ALTER COLUMN installation_id DROP NOT NULL;
    UPDATE alert SET since = coalesce(last_reading_at, opened_at),
                     closed_because = CASE WHEN closed_at IS NOT NULL THEN 'heard' END;
    ALTER TABLE alert
        ALTER COLUMN type DROP DEFAULT,
        ALTER COLUMN opened_because DROP DEFAULT,
        ALTER COLUMN since SET NOT NULL,
        ADD CONSTRAINT fk_alert_gateway_id FOREIGN KEY (gateway_id) REFERENCES gateway (id),
        ADD CONSTRAINT ck_alert_type_is_known CHECK (type IN ('installation.stale', 'gateway.silent')),
        ADD CONSTRAINT ck_alert_subject_fits_type CHECK (
            (type = 'installation.stale') = (installation_id IS NOT NULL)
            AND (type = 'gateway.silent') = (gateway_id IS NOT NULL)),
        ADD CONSTRAINT ck_alert_opened_because_is_known CHECK (opened_because IN ('silence', 'rules_changed')),
        ADD CONSTRAINT ck_alert_closed_because_is_known CHECK (closed_because IN ('heard', 'rules_changed', 'removed')),
        ADD CONSTRAINT ck_alert_closed_for_a_reason CHECK ((closed_at IS NULL) = (closed_because IS NULL)),
        ADD CONSTRAINT ck_alert_acknowledged_by_somebody CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
        ADD CONSTRAINT ck_alert_snoozed_by_somebody CHECK ((snoozed_until IS NULL) = (snoozed_by IS NULL));
    CREATE UNIQUE INDEX uq_alert_open_gateway ON alert (gateway_id) WHERE closed_at IS NULL;
    CREATE INDEX ix_alert_installation_id ON alert (installation_id, opened_at);
    CREATE INDEX ix_alert_gateway_id ON alert (gateway_id, opened_at);
    DROP INDEX ix_alert_tenant_id_opened_at;
    CREATE INDEX ix_alert_tenant_id_opened_at_id ON alert (tenant_id, opened_at, id);
    CREATE INDEX ix_alert_open ON alert (tenant_id, opened_at, id) WHERE closed_at IS NULL;

    ALTER TABLE delivery
        ADD COLUMN position bigint,
        ALTER COLUMN alert_id DROP NOT NULL,
        ALTER COLUMN tenant_id DROP NOT NULL,
        ADD CONSTRAINT ck_delivery_of_a_tenant_or_of_operators CHECK ((alert_id IS NULL) = (tenant_id IS NULL));
    UPDATE delivery d SET position = made.place
        FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM delivery) made
        WHERE made.id = d.id;
    ALTER TABLE delivery
        ALTER COLUMN position SET NOT NULL,
        ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY;
    SELECT setval(pg_get_serial_sequence('delivery', 'position'), coalesce(max(position), 0) + 1, false) FROM delivery;

    ALTER TABLE installation_status
        ADD COLUMN registered_at timestamptz,
        ADD COLUMN judged_from timestamptz,
        ADD COLUMN rules_changed_at timestamptz,
        ADD COLUMN alert_id uuid,
        ADD CONSTRAINT fk_installation_status_alert_id FOREIGN KEY (alert_id) REFERENCES alert (id);
    UPDATE installation_status s
        SET registered_at = i.installed_at,
            alert_id = (SELECT a.id FROM alert a WHERE a.installation_id = i.id AND a.closed_at IS NULL)
        FROM meter_installation i WHERE i.id = s.installation_id;
    ALTER TABLE installation_status
        ALTER COLUMN registered_at SET NOT NULL,
        ALTER COLUMN registered_at SET DEFAULT now();

    INSERT INTO gateway_status (gateway_id, tenant_id) SELECT id, tenant_id FROM gateway;
    INSERT INTO gateway_heard (gateway_id, heard_at)
        SELECT s.last_gateway_id, max(coalesce(s.last_received_at, s.last_reading_at))
        FROM installation_status s JOIN gateway g ON g.id = s.last_gateway_id
        GROUP BY s.last_gateway_id
"""

# What changes the rules or the registry lets alerts look again, at all that it may concern. What had been judged by
# then is noted: what was due by the new rules before that is no news of the meter, unless it waited to be judged by the
# old ones, which nobody has done yet.
# Gateways are locked before installations here, and after them by a fold: PostgreSQL ends one of two that meet so.
TRIGGERS = (
    """
    CREATE FUNCTION look_again_at_installations(
        of_tenant uuid, of_installation uuid, of_property uuid, of_medium text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        concerned uuid[] := ARRAY(
            SELECT i.id FROM public.meter_installation i JOIN public.unit u ON u.id = i.unit_id
            WHERE i.tenant_id = of_tenant AND (of_installation IS NULL OR i.id = of_installation)
              AND (of_property IS NULL OR u.property_id = of_property) AND (of_medium IS NULL OR i.medium = of_medium));
        judged timestamptz := (SELECT judged_until FROM public.pipeline);
    BEGIN
        -- In the order in which alerts locks them too.
        PERFORM FROM public.installation_status s WHERE s.installation_id = ANY (concerned)
            ORDER BY s.installation_id FOR UPDATE;
        UPDATE public.installation_status s
        SET due_at = now(),
            rules_changed_at = CASE WHEN s.due_at <= judged THEN s.rules_changed_at ELSE judged END
        WHERE s.installation_id = ANY (concerned);
    END $$
    """,
    """
    CREATE FUNCTION look_again_at_gateways(of_tenant uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        judged timestamptz := (SELECT judged_until FROM public.pipeline);
    BEGIN
        PERFORM FROM public.gateway_status g WHERE g.tenant_id = of_tenant ORDER BY g.gateway_id FOR UPDATE;
        UPDATE public.gateway_status g
        SET due_at = now(),
            rules_changed_at = CASE WHEN g.due_at <= judged THEN g.rules_changed_at ELSE judged END
        WHERE g.tenant_id = of_tenant;
    END $$
    """,
    # Those that are to be looked at already, by the same rules, are left alone: a change of many meters is many calls.
    """
    CREATE FUNCTION look_again_at_gateways_named(named text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        judged timestamptz := (SELECT judged_until FROM public.pipeline);
        concerned text[] := ARRAY(
            SELECT g.gateway_id FROM public.gateway_status g
            WHERE g.gateway_id = ANY (named)
              AND (g.due_at IS NULL OR g.due_at > now() OR g.rules_changed_at IS DISTINCT FROM judged)
            ORDER BY g.gateway_id FOR UPDATE);
    BEGIN
        UPDATE public.gateway_status g
        SET due_at = least(g.due_at, now()),
            rules_changed_at = CASE WHEN g.due_at <= judged THEN g.rules_changed_at ELSE judged END
        WHERE g.gateway_id = ANY (concerned);
    END $$
    """,
    """
    CREATE FUNCTION policy_has_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND (OLD.installation_id, OLD.property_id, OLD.medium, OLD.stale_after, OLD.quiet_weekdays,
                                 OLD.quiet_from, OLD.quiet_until, OLD.time_zone, OLD.grace)
            IS NOT DISTINCT FROM (NEW.installation_id, NEW.property_id, NEW.medium, NEW.stale_after, NEW.quiet_weekdays,
                                  NEW.quiet_from, NEW.quiet_until, NEW.time_zone, NEW.grace) THEN
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            PERFORM public.look_again_at_gateways(OLD.tenant_id);
            PERFORM public.look_again_at_installations(
                OLD.tenant_id, OLD.installation_id, OLD.property_id, OLD.medium);
        END IF;
        IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE'
            AND (OLD.installation_id, OLD.property_id, OLD.medium)
                IS DISTINCT FROM (NEW.installation_id, NEW.property_id, NEW.medium) THEN
            PERFORM public.look_again_at_gateways(NEW.tenant_id);
            PERFORM public.look_again_at_installations(
                NEW.tenant_id, NEW.installation_id, NEW.property_id, NEW.medium);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER policy_has_changed AFTER INSERT OR DELETE OR UPDATE OF
        installation_id, property_id, medium, stale_after, quiet_weekdays, quiet_from, quiet_until, time_zone, grace
    ON policy FOR EACH ROW EXECUTE FUNCTION policy_has_changed()
    """,
    """
    CREATE OR REPLACE FUNCTION tenant_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.look_again_at_gateways(NEW.id);
        PERFORM public.look_again_at_installations(NEW.id, NULL, NULL, NULL);
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER tenant_changes_limit ON tenant",
    """
    CREATE TRIGGER tenant_changes_limit AFTER UPDATE OF stale_after, time_zone ON tenant FOR EACH ROW
    WHEN ((OLD.stale_after, OLD.time_zone) IS DISTINCT FROM (NEW.stale_after, NEW.time_zone))
    EXECUTE FUNCTION tenant_is_due_again()
    """,
    """
    CREATE OR REPLACE FUNCTION meter_installation_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE public.installation_status s
        SET due_at = now(),
            rules_changed_at = CASE WHEN s.due_at <= p.judged_until THEN s.rules_changed_at ELSE p.judged_until END
        FROM public.pipeline p
        WHERE s.installation_id = NEW.id;
        -- Its limit counts for the gateways that hear it, or did.
        PERFORM public.look_again_at_gateways_named(ARRAY[OLD.gateway_id, NEW.gateway_id] || ARRAY(
            SELECT last_gateway_id FROM public.installation_status WHERE installation_id = NEW.id));
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION meter_installation_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.installation_status (installation_id, tenant_id, due_at)
        SELECT id, tenant_id, installed_at FROM registered;
        PERFORM public.look_again_at_gateways_named(ARRAY(SELECT DISTINCT gateway_id FROM registered));
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER meter_installation_changes_dates ON meter_installation",
    """
    CREATE TRIGGER meter_installation_changes AFTER UPDATE OF installed_at, deleted_at, unit_id, medium, gateway_id
    ON meter_installation FOR EACH ROW
    WHEN ((OLD.installed_at, OLD.deleted_at, OLD.unit_id, OLD.medium, OLD.gateway_id)
          IS DISTINCT FROM (NEW.installed_at, NEW.deleted_at, NEW.unit_id, NEW.medium, NEW.gateway_id))
    EXECUTE FUNCTION meter_installation_is_due_again()
    """,
    """
    CREATE FUNCTION gateway_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.gateway_status (gateway_id, tenant_id) SELECT id, tenant_id FROM registered;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER gateway_has_status AFTER INSERT ON gateway
    REFERENCING NEW TABLE AS registered FOR EACH STATEMENT EXECUTE FUNCTION gateway_has_status()
    """,
    """
    CREATE FUNCTION gateway_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        concerned uuid[];
        judged timestamptz := (SELECT judged_until FROM public.pipeline);
    BEGIN
        -- One that is taken out of use, or into it again, makes a difference to what it hears.
        IF OLD.deleted_at IS DISTINCT FROM NEW.deleted_at THEN
            concerned := ARRAY(
                SELECT id FROM public.meter_installation WHERE gateway_id = NEW.id
                UNION SELECT installation_id FROM public.installation_status WHERE last_gateway_id = NEW.id);
            PERFORM FROM public.installation_status s WHERE s.installation_id = ANY (concerned)
                ORDER BY s.installation_id FOR UPDATE;
            UPDATE public.installation_status s
            SET due_at = now(),
            rules_changed_at = CASE WHEN s.due_at <= judged THEN s.rules_changed_at ELSE judged END
            WHERE s.installation_id = ANY (concerned);
        END IF;
        UPDATE public.gateway_status g
        SET due_at = now(),
            rules_changed_at = CASE WHEN g.due_at <= judged THEN g.rules_changed_at ELSE judged END
        WHERE g.gateway_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER gateway_changes AFTER UPDATE OF silent_after, deleted_at ON gateway FOR EACH ROW
    WHEN ((OLD.silent_after, OLD.deleted_at) IS DISTINCT FROM (NEW.silent_after, NEW.deleted_at))
    EXECUTE FUNCTION gateway_is_due_again()
    """,
)

GRANTS = {
    "mbus_ingest": {
        "gateway_heard": "SELECT, INSERT, UPDATE",
        "ingest_session": "SELECT, INSERT, UPDATE, DELETE",
        "pipeline": "SELECT",
    },
    "mbus_alerts": {
        # To judge by what is stored, whatever events say.
        "reading, gateway, gateway_heard, policy": "SELECT",
        "gateway_status, pipeline": "SELECT, UPDATE",
        "ingest_session": "SELECT, DELETE",
    },
    API: {
        "tenant, property, unit, gateway, meter_installation, alert": "SELECT",
        "installation_status, gateway_status, gateway_heard": "SELECT",
        "policy": "SELECT, INSERT, UPDATE, DELETE",
    },
}
# The service may take the role, but does not inherit from it: the policies of the role would hold for the service too.
# They would refuse it nothing, but the planner would expect next to no rows, and read whole tables for a few. Once for
# the server: a second grant would be this owner's, who could then not be dropped. From PostgreSQL 16 on the grant says
# what is inherited, before that the role.
GRANT_ROLE = f"""
    DO $$ BEGIN
        IF NOT pg_has_role('mbus_alerts', '{API}', 'MEMBER') OR pg_has_role('mbus_alerts', '{API}', 'USAGE') THEN
            ALTER ROLE mbus_alerts NOINHERIT;
            IF current_setting('server_version_num')::int >= 160000 THEN
                EXECUTE 'GRANT {API} TO mbus_alerts WITH INHERIT FALSE';
            ELSE
                GRANT {API} TO mbus_alerts;
            END IF;
        END IF;
    END $$
"""
ALERT_COLUMNS = "acknowledged_at, acknowledged_by, acknowledge_note, snoozed_until, snoozed_by"

TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"
PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

SEEN_BY_TENANT = ("property", "gateway", "meter_installation", "installation_status", "alert")
"""Tables with row-level security already, which the role of the HTTP face reads."""

# A foreign key does not ask whose its target is.
OWN_TARGETS = (
    "(installation_id IS NULL OR EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id))"
    " AND (property_id IS NULL OR EXISTS (SELECT FROM property p WHERE p.id = property_id))"
)

OF_TENANT = {
    "tenant": f"id = {TENANT}",
    "unit": "EXISTS (SELECT FROM property p WHERE p.id = property_id)",
    **dict.fromkeys(SEEN_BY_TENANT, f"tenant_id = {TENANT}"),
    "gateway_status": f"tenant_id = {TENANT}",
    "gateway_heard": "EXISTS (SELECT FROM gateway g WHERE g.id = gateway_id)",
    "policy": f"tenant_id = {TENANT} AND {OWN_TARGETS}",
}
NEW = ("gateway_status", "gateway_heard", "policy")

# As of migration 0007, for this role and the new tables. A policy of a whole tenant or medium is seen by everybody whom
# it concerns, and written only by who may see all of it.
OF_PROPERTIES = {
    "property": f"id = ANY ({PROPERTIES})",
    "meter_installation": f"EXISTS (SELECT FROM unit u WHERE u.id = unit_id AND u.property_id = ANY ({PROPERTIES}))",
    "installation_status": "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)",
    "gateway": "EXISTS (SELECT FROM meter_installation i WHERE i.gateway_id = gateway.id)",
    "gateway_status": "EXISTS (SELECT FROM gateway g WHERE g.id = gateway_id)",
    "alert": "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)"
    " OR EXISTS (SELECT FROM gateway g WHERE g.id = alert.gateway_id)",
    "policy": "EXISTS (SELECT FROM meter_installation i WHERE i.id = installation_id)"
    f" OR property_id = ANY ({PROPERTIES})"
    " OR installation_id IS NULL AND property_id IS NULL",
}
WHOLE_TARGETS = "installation_id IS NULL AND property_id IS NULL"


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for statement in TRIGGERS:
        op.execute(statement)
    # Only triggers call them.
    op.execute("REVOKE ALL ON FUNCTION look_again_at_installations(uuid, uuid, uuid, text) FROM PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION look_again_at_gateways(uuid) FROM PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION look_again_at_gateways_named(text[]) FROM PUBLIC")
    op.execute(
        f"DO $$ BEGIN CREATE ROLE {API} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {API}")
    op.execute(GRANT_ROLE)
    for role, grants in GRANTS.items():
        for tables, privileges in grants.items():
            op.execute(f"GRANT {privileges} ON {tables} TO {role}")
    op.execute(f"GRANT UPDATE ({ALERT_COLUMNS}) ON alert TO {API}")
    op.execute(f"GRANT SELECT (judged_until) ON pipeline TO {API}")
    for table in NEW:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_every_tenant ON {table} TO mbus_ingest, mbus_alerts USING (true)")
    for table, condition in OF_TENANT.items():
        op.execute(f"CREATE POLICY of_tenant_for_alerts ON {table} TO {API} USING ({condition})")
    for table, condition in OF_PROPERTIES.items():
        op.execute(
            f"CREATE POLICY of_properties_for_alerts ON {table} AS RESTRICTIVE TO {API}"
            f" USING ({PROPERTIES} IS NULL OR {condition})"
        )
    for verb in ("INSERT", "UPDATE", "DELETE"):
        check = f"({PROPERTIES} IS NULL OR NOT ({WHOLE_TARGETS}))"
        using = f"USING {check}" if verb != "INSERT" else f"WITH CHECK {check}"
        op.execute(f"CREATE POLICY whole_targets_{verb.lower()} ON policy AS RESTRICTIVE FOR {verb} TO {API} {using}")


def downgrade() -> None:
    """Take it all back; alerts of gateways and events of the pipeline are lost. The role stays, as those of 0004 do."""
    for verb in ("insert", "update", "delete"):
        op.execute(f"DROP POLICY whole_targets_{verb} ON policy")
    for table in OF_PROPERTIES:
        op.execute(f"DROP POLICY of_properties_for_alerts ON {table}")
    for table in OF_TENANT:
        op.execute(f"DROP POLICY of_tenant_for_alerts ON {table}")
    for role, grants in GRANTS.items():
        for tables in grants:
            if role != API:
                kept = [table for table in tables.split(", ") if table in ("reading", "gateway")]
                if kept and role == "mbus_alerts":
                    op.execute(f"REVOKE ALL ON {', '.join(kept)} FROM {role}")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {API}")
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {API}")
    for trigger, table in (
        ("gateway_changes", "gateway"),
        ("gateway_has_status", "gateway"),
        ("meter_installation_changes", "meter_installation"),
        ("tenant_changes_limit", "tenant"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute("DROP TABLE policy, pipeline, ingest_session, gateway_heard, gateway_status")
    for function in (
        "gateway_is_due_again()",
        "gateway_has_status()",
        "policy_has_changed()",
        "look_again_at_gateways(uuid)",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute(
        """
        CREATE OR REPLACE FUNCTION meter_installation_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.installation_status SET due_at = now()
            WHERE installation_id = NEW.id AND state <> 'stale';
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE OR REPLACE FUNCTION tenant_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.installation_status SET due_at = now() WHERE tenant_id = NEW.id AND state <> 'stale';
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE OR REPLACE FUNCTION meter_installation_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.installation_status (installation_id, tenant_id, due_at)
            SELECT id, tenant_id, installed_at FROM registered;
            RETURN NULL;
        END $$
        """
    )
    op.execute("DROP FUNCTION look_again_at_gateways_named(text[])")
    op.execute("DROP FUNCTION look_again_at_installations(uuid, uuid, uuid, text)")
    op.execute(
        "CREATE TRIGGER tenant_changes_limit AFTER UPDATE OF stale_after ON tenant FOR EACH ROW"
        " WHEN (OLD.stale_after <> NEW.stale_after) EXECUTE FUNCTION tenant_is_due_again()"
    )
    op.execute(
        "CREATE TRIGGER meter_installation_changes_dates AFTER UPDATE OF installed_at, deleted_at ON meter_installation"
        " FOR EACH ROW WHEN (OLD.installed_at <> NEW.installed_at OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)"
        " EXECUTE FUNCTION meter_installation_is_due_again()"
    )
    op.execute(
        "ALTER TABLE installation_status DROP COLUMN registered_at, DROP COLUMN judged_from,"
        " DROP COLUMN rules_changed_at, DROP COLUMN alert_id"
    )
    op.execute(
        "DELETE FROM delivery WHERE alert_id IS NULL"
        " OR alert_id IN (SELECT id FROM alert WHERE installation_id IS NULL)"
    )
    op.execute("DELETE FROM alert WHERE installation_id IS NULL")
    op.execute(
        "ALTER TABLE delivery DROP CONSTRAINT ck_delivery_of_a_tenant_or_of_operators, DROP COLUMN position,"
        " ALTER COLUMN alert_id SET NOT NULL, ALTER COLUMN tenant_id SET NOT NULL"
    )
    op.execute(
        "DROP INDEX ix_alert_installation_id, ix_alert_gateway_id, ix_alert_tenant_id_opened_at_id, ix_alert_open"
    )
    op.execute("CREATE INDEX ix_alert_tenant_id_opened_at ON alert (tenant_id, opened_at)")
    op.execute(
        "ALTER TABLE alert DROP COLUMN type, DROP COLUMN gateway_id, DROP COLUMN since, DROP COLUMN opened_because,"
        " DROP COLUMN closed_because, DROP COLUMN acknowledged_at, DROP COLUMN acknowledged_by,"
        " DROP COLUMN acknowledge_note, DROP COLUMN snoozed_until, DROP COLUMN snoozed_by,"
        " ALTER COLUMN installation_id SET NOT NULL"
    )
