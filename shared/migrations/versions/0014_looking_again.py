"""What alerts looks at again when rules or the registry change: only what is concerned, locked in one order by all.

Revision ID: 0014
Revises: 0013
"""

from importlib import import_module

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# What a policy is of, and what it says: who changes nothing of these changes no rule.
RULES = (
    "tenant_id, installation_id, property_id, medium,"
    " stale_after, quiet_weekdays, quiet_from, quiet_until, time_zone, grace"
)

# Whether an installation `i` in a unit `u` has a policy, from the most specific one on.
HAS_ITS_OWN = "EXISTS (SELECT FROM public.policy p WHERE p.installation_id = i.id)"
HAS_THAT_OF_ITS_PROPERTY = "EXISTS (SELECT FROM public.policy p WHERE p.property_id = u.property_id)"
HAS_THAT_OF_ITS_MEDIUM = "EXISTS (SELECT FROM public.policy p WHERE (p.tenant_id, p.medium) = (i.tenant_id, i.medium))"

FUNCTIONS = (
    # Everybody who needs several of these locks takes them in this order, and so nobody waits in a circle: tenants,
    # installations, gateways, each by its key. Gateways are also those that the installations are, or were, heard by;
    # these come back. A tenant's row lets changes of its rules come one after the other: each sees all before it.
    """
    CREATE FUNCTION lock_statuses(tenants uuid[], installations uuid[], gateways text[]) RETURNS text[]
    LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM public.tenant t WHERE t.id = ANY (tenants) ORDER BY t.id FOR NO KEY UPDATE;
        PERFORM FROM public.installation_status s WHERE s.installation_id = ANY (installations)
            ORDER BY s.installation_id FOR UPDATE;
        RETURN ARRAY(
            SELECT g.gateway_id FROM public.gateway_status g
            WHERE g.gateway_id IN (
                SELECT unnest(gateways)
                UNION SELECT i.gateway_id FROM public.meter_installation i WHERE i.id = ANY (installations)
                UNION SELECT s.last_gateway_id FROM public.installation_status s
                WHERE s.installation_id = ANY (installations))
            ORDER BY g.gateway_id FOR UPDATE);
    END $$
    """,
    # Up to when silence had been judged is noted: what was due before that by the new rules is no news of the meter.
    # Not of one that was due by the old ones: it may wait to be judged by these, and does so however often rules change
    # before the next sweep. It is read when all is locked, and so no sweep has one of them in hand.
    # Gateways are due since ever, as when they hear another meter: before any of their installations, and so judged
    # first.
    """
    CREATE FUNCTION look_again(tenants uuid[], installations uuid[], gateways text[]) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE
        all_gateways text[] := public.lock_statuses(tenants, installations, gateways);
        judged timestamptz := (SELECT judged_until FROM public.pipeline);
    BEGIN
        UPDATE public.installation_status s
        SET due_at = least(s.due_at, now()),
            rules_changed_at = CASE WHEN s.due_at <= judged THEN s.rules_changed_at ELSE judged END
        WHERE s.installation_id = ANY (installations);
        UPDATE public.gateway_status g
        SET due_at = g.registered_at,
            rules_changed_at = CASE WHEN g.due_at <= judged THEN g.rules_changed_at ELSE judged END
        WHERE g.gateway_id = ANY (all_gateways);
    END $$
    """,
    # Of each policy its target: at the installations in it that have no more specific one.
    f"""
    CREATE FUNCTION look_again_by_policies(tenants uuid[], installations uuid[], properties uuid[], media text[])
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.lock_statuses(tenants, '{{}}', '{{}}');
        PERFORM public.look_again(tenants, ARRAY(
            WITH target AS (
                SELECT DISTINCT * FROM unnest(tenants, installations, properties, media)
                    AS given (tenant_id, installation_id, property_id, medium)
            )
            SELECT i.id FROM target t JOIN public.meter_installation i ON i.id = t.installation_id
            UNION ALL
            SELECT i.id FROM target t JOIN public.unit u ON u.property_id = t.property_id
            JOIN public.meter_installation i ON i.unit_id = u.id
            WHERE NOT {HAS_ITS_OWN}
            UNION ALL
            SELECT i.id FROM target t
            JOIN public.meter_installation i ON (i.tenant_id, i.medium) = (t.tenant_id, t.medium)
            JOIN public.unit u ON u.id = i.unit_id
            WHERE NOT {HAS_ITS_OWN} AND NOT {HAS_THAT_OF_ITS_PROPERTY}
            UNION ALL
            SELECT i.id FROM target t JOIN public.meter_installation i ON i.tenant_id = t.tenant_id
            JOIN public.unit u ON u.id = i.unit_id
            WHERE num_nonnulls(t.installation_id, t.property_id, t.medium) = 0
              AND NOT {HAS_ITS_OWN} AND NOT {HAS_THAT_OF_ITS_PROPERTY} AND NOT {HAS_THAT_OF_ITS_MEDIUM}
        ), '{{}}');
    END $$
    """,  # noqa: S608 - the migration's own text
    # As their owner: the role of the HTTP face may change policies, and no status. One whose target is another now
    # concerns both.
    f"""
    CREATE OR REPLACE FUNCTION policy_has_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            PERFORM public.look_again_by_policies(
                array_agg(tenant_id), array_agg(installation_id), array_agg(property_id), array_agg(medium))
            FROM ((SELECT {RULES} FROM before EXCEPT SELECT {RULES} FROM after)
                  UNION ALL (SELECT {RULES} FROM after EXCEPT SELECT {RULES} FROM before)) changed;
        ELSE
            PERFORM public.look_again_by_policies(
                array_agg(tenant_id), array_agg(installation_id), array_agg(property_id), array_agg(medium))
            FROM changed;
        END IF;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - the migration's own text
    # Its limit is what holds without a policy; its time zone is that of the policies that name none.
    """
    CREATE OR REPLACE FUNCTION tenant_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.look_again_by_policies(
            array_agg(tenant_id), array_agg(installation_id), array_agg(property_id), array_agg(medium))
        FROM (
            SELECT id AS tenant_id, NULL::uuid AS installation_id, NULL::uuid AS property_id, NULL AS medium
            FROM before b JOIN after a USING (id) WHERE b.stale_after <> a.stale_after
            UNION ALL
            SELECT p.tenant_id, p.installation_id, p.property_id, p.medium
            FROM before b JOIN after a USING (id) JOIN public.policy p ON p.tenant_id = a.id
            WHERE b.time_zone <> a.time_zone AND p.time_zone IS NULL
        ) changed;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION meter_installation_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.installation_status (installation_id, tenant_id, due_at)
        SELECT id, tenant_id, installed_at FROM registered;
        -- Their limits count for the gateways that are to hear them.
        PERFORM public.look_again(array_agg(DISTINCT tenant_id), '{}', array_agg(DISTINCT gateway_id)) FROM registered;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION meter_installation_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.look_again(array_agg(DISTINCT b.tenant_id), array_agg(id), array_agg(DISTINCT b.gateway_id))
        FROM before b JOIN after a USING (id)
        WHERE (b.installed_at, b.deleted_at, b.unit_id, b.medium, b.gateway_id)
            IS DISTINCT FROM (a.installed_at, a.deleted_at, a.unit_id, a.medium, a.gateway_id);
        RETURN NULL;
    END $$
    """,
    # One that is taken out of use, or into it again, makes a difference to what it hears.
    """
    CREATE OR REPLACE FUNCTION gateway_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        changed text[] := ARRAY(
            SELECT id FROM before b JOIN after a USING (id)
            WHERE (b.silent_after, b.deleted_at) IS DISTINCT FROM (a.silent_after, a.deleted_at));
        used_otherwise text[] := ARRAY(
            SELECT id FROM before b JOIN after a USING (id) WHERE b.deleted_at IS DISTINCT FROM a.deleted_at);
    BEGIN
        PERFORM public.look_again('{}', ARRAY(
            SELECT i.id FROM public.meter_installation i WHERE i.gateway_id = ANY (used_otherwise)
            UNION SELECT s.installation_id FROM public.installation_status s
            WHERE s.last_gateway_id IN (SELECT unnest(used_otherwise)) AND s.tenant_id IN (SELECT tenant_id FROM after)
        ), changed);
        RETURN NULL;
    END $$
    """,
)

BEFORE_AND_AFTER = "REFERENCING OLD TABLE AS before NEW TABLE AS after"

# Of statements, not of rows: what many rows concern is locked at once, in its order.
TRIGGERS = (
    ("policy_has_come", "INSERT", "policy", "REFERENCING NEW TABLE AS changed", "policy_has_changed"),
    ("policy_has_changed", "UPDATE", "policy", BEFORE_AND_AFTER, "policy_has_changed"),
    ("policy_has_gone", "DELETE", "policy", "REFERENCING OLD TABLE AS changed", "policy_has_changed"),
    ("tenant_changes_limit", "UPDATE", "tenant", BEFORE_AND_AFTER, "tenant_is_due_again"),
    ("meter_installation_changes", "UPDATE", "meter_installation", BEFORE_AND_AFTER, "meter_installation_is_due_again"),
    ("gateway_changes", "UPDATE", "gateway", BEFORE_AND_AFTER, "gateway_is_due_again"),
)

OF_ROWS = ("policy_has_changed", "tenant_changes_limit", "meter_installation_changes", "gateway_changes")
"""The triggers of migration 0010 that these replace."""


def upgrade() -> None:
    for name, _, table, _, _ in TRIGGERS:
        if name in OF_ROWS:
            op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION look_again_at_installations(uuid, uuid, uuid, text)")
    op.execute("DROP FUNCTION look_again_at_gateways(uuid)")
    op.execute("DROP FUNCTION look_again_at_gateways_named(text[])")
    for function in FUNCTIONS:
        op.execute(function)
    for name, verb, table, tables, function in TRIGGERS:
        op.execute(
            f"CREATE TRIGGER {name} AFTER {verb} ON {table} {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )


def downgrade() -> None:
    for name, _, table, _, _ in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION look_again_by_policies(uuid[], uuid[], uuid[], text[])")
    op.execute("DROP FUNCTION look_again(uuid[], uuid[], text[])")
    op.execute("DROP FUNCTION lock_statuses(uuid[], uuid[], text[])")
    op.execute("DROP FUNCTION policy_has_changed()")
    op.execute("DROP FUNCTION gateway_is_due_again()")
    before = import_module("shared.migrations.versions.0010_alerts")
    for statement in before.TRIGGERS:
        # What migration 0010 found, it replaced; what it made of new gateways is there still.
        if not statement.startswith("DROP") and "gateway_has_status" not in statement:
            op.execute(statement)
    op.execute("REVOKE ALL ON FUNCTION look_again_at_installations(uuid, uuid, uuid, text) FROM PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION look_again_at_gateways(uuid) FROM PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION look_again_at_gateways_named(text[]) FROM PUBLIC")
