"""Consumption: the time zone of a property, and a function that reads what counters showed around the edges of buckets.

docs/architecture/consumption.md says why this is all that is needed of the readings.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Between two rows that it returns the counter does not fall, and no edge lies: what it left out says no more.
# In millionths, which are added without an error. What is no counter's value is passed over: twice of it must fit.
# Of each installation by itself, so that its bounds leave out chunks when the statement starts. The first and the last
# row are those before and after all edges where there are such.
COUNTERS_SHOWED = """
    CREATE FUNCTION counters_showed(of_tenant uuid, of_properties uuid[], installations uuid[],
        since timestamptz[], until timestamptz[], edges timestamptz[])
    RETURNS TABLE (place int, at_before timestamptz, micros_before bigint, at timestamptz, micros bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_sort = off AS $$
    DECLARE
        beginning timestamptz := edges[1];
        ending timestamptz := edges[cardinality(edges)];
        of_place int;
        of_installation uuid;
        low timestamptz;
        high timestamptz;
        first_at timestamptz;
        last_at timestamptz;
    BEGIN
        PERFORM set_config('mbus.tenant_id', of_tenant::text, true),
                set_config('mbus.property_ids', coalesce(of_properties::text, ''), true);
        FOR of_place, of_installation, low, high IN
            SELECT o.place, o.id, coalesce(o.since, '-infinity'), coalesce(o.until, 'infinity')
            FROM unnest(installations, since, until) WITH ORDINALITY o (id, since, until, place)
            JOIN public.meter_installation i ON i.id = o.id
            WHERE i.tenant_id = of_tenant
              AND (of_properties IS NULL OR EXISTS (
                  SELECT FROM public.unit u WHERE u.id = i.unit_id AND u.property_id = ANY (of_properties)))
            ORDER BY o.place
        LOOP
            first_at := (
                SELECT r.timestamp FROM public.reading r
                WHERE r.meter_installation_id = of_installation AND r.timestamp >= low
                  AND r.timestamp < least(high, beginning) AND r.value BETWEEN -1e12 AND 1e12
                ORDER BY r.timestamp DESC LIMIT 1);
            first_at := coalesce(first_at, greatest(low, beginning));
            last_at := (
                SELECT r.timestamp FROM public.reading r
                WHERE r.meter_installation_id = of_installation AND r.timestamp >= greatest(low, ending)
                  AND r.timestamp < high AND r.value BETWEEN -1e12 AND 1e12
                ORDER BY r.timestamp LIMIT 1);
            last_at := coalesce(last_at, (
                SELECT r.timestamp FROM public.reading r
                WHERE r.meter_installation_id = of_installation AND r.timestamp >= first_at
                  AND r.timestamp < least(high, ending) AND r.value BETWEEN -1e12 AND 1e12
                ORDER BY r.timestamp DESC LIMIT 1));
            RETURN QUERY
                SELECT of_place, s.at_before, (s.before * 1e6)::bigint, s.at, (s.value * 1e6)::bigint
                FROM (
                    SELECT o.at, o.value, lag(o.at) OVER w AS at_before, lag(o.value) OVER w AS before
                    FROM (
                        -- Only in an order of its own does a hypertable leave out chunks.
                        SELECT r.timestamp AS at, r.value FROM public.reading r
                        WHERE r.meter_installation_id = of_installation AND r.timestamp >= first_at
                          AND r.timestamp <= last_at AND r.value BETWEEN -1e12 AND 1e12
                        ORDER BY r.timestamp
                    ) o
                    WINDOW w AS (ORDER BY o.at)
                ) s
                WHERE s.at_before IS NULL OR s.value < s.before OR s.at = last_at
                   OR s.at_before < edges[width_bucket(s.at, edges)];
        END LOOP;
    END $$
"""

SIGNATURE = "counters_showed(uuid, uuid[], uuid[], timestamptz[], timestamptz[], timestamptz[])"


def upgrade() -> None:
    op.execute("ALTER TABLE property_config ADD COLUMN time_zone text")
    op.execute(COUNTERS_SHOWED)
    # A function is created by who owns it, and nobody else may call it.
    op.execute("GRANT CREATE ON SCHEMA public TO mbus_reader")
    op.execute(f"ALTER FUNCTION {SIGNATURE} OWNER TO mbus_reader")
    op.execute("REVOKE CREATE ON SCHEMA public FROM mbus_reader")
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO mbus_query")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {SIGNATURE}")
    op.execute("ALTER TABLE property_config DROP COLUMN time_zone")
