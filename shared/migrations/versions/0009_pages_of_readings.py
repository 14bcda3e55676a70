"""Pages of readings as JSON: of one installation or of several, after and before a time, in both directions.

docs/architecture/query.md says why each is as it is, and why a page of several is whole.

Revision ID: 0009
Revises: 0008
"""

from dataclasses import dataclass

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


@dataclass(frozen=True)
class Direction:
    """The words in which the two directions differ: a page goes on from `near` and ends before `far`."""

    name: str
    order: str
    beyond: str
    near: str
    far: str
    nearer: str
    ahead: str
    back: str


NEWEST_FIRST = Direction("newest_first", "DESC", "<", "before", "after", "least", "-", "+")
OLDEST_FIRST = Direction("oldest_first", "ASC", ">", "after", "before", "greatest", "+", "-")

ONE = "of_tenant uuid, of_properties uuid[], of_installation uuid, after timestamptz, before timestamptz, page_size int"
SEVERAL = (
    "of_tenant uuid, of_properties uuid[], installation_ids uuid[], property_ids uuid[], unit_ids uuid[], media text[],"
    " after timestamptz, before timestamptz, at_time timestamptz, at_id uuid, page_size int, most int"
)

# STABLE: all statements of a page see the same rows. Of the settings, two make the JSON the same on every server, two
# every plan: made once a connection, as planning the chunks of a hypertable takes longer than reading a page, and along
# the primary key. Not knowing the times, the planner may believe in few rows, and fetch all of them and sort.
AS_READER = """
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1
    SET plan_cache_mode = force_generic_plan SET enable_sort = off
"""

WITHIN_REACH = """
    PERFORM set_config('mbus.tenant_id', of_tenant::text, true),
            set_config('mbus.property_ids', coalesce(of_properties::text, ''), true);
    after := coalesce(after, '-infinity');
    before := coalesce(before, 'infinity');
"""

# What is not as it must be is told in a column and not by an exception: that would be an ERROR with its statement in
# the server's log, as often as a caller likes.

# The time zone is UTC here, which PostgreSQL writes in another way than all the rest of the API.
IN_UTC = """items := replace(items, '+00:00"', 'Z"');"""

ITEM = "r.meter_installation_id, r.timestamp, r.value, r.rssi_dbm, r.battery_level_pct, r.received_at"


def page_of_one(to: Direction) -> str:
    """One range of the primary key, with one row more than the page, which tells whether there is a next one."""
    return f"""
        CREATE FUNCTION readings_{to.name}({ONE}, OUT is_there boolean, OUT items text, OUT next_time timestamptz)
        {AS_READER} AS $$
        BEGIN
            {WITHIN_REACH}
            is_there := EXISTS (
                SELECT FROM public.meter_installation i
                WHERE i.id = of_installation AND i.tenant_id = of_tenant
                  AND (of_properties IS NULL OR EXISTS (
                      SELECT FROM public.unit u WHERE u.id = i.unit_id AND u.property_id = ANY (of_properties))));
            IF NOT is_there THEN
                RETURN;
            END IF;
            SELECT string_agg(row_to_json(p.r)::text, ',') FILTER (WHERE p.place <= page_size),
                   CASE WHEN count(*) > page_size
                        THEN max((p.r).timestamp) FILTER (WHERE p.place = page_size) END
            INTO items, next_time
            FROM (
                SELECT r, row_number() OVER () AS place
                FROM (
                    SELECT {ITEM} FROM public.reading r
                    WHERE r.meter_installation_id = of_installation AND r.timestamp > after AND r.timestamp < before
                    ORDER BY r.timestamp {to.order}
                    LIMIT page_size + 1
                ) r
            ) p;
            {IN_UTC}
        END $$
    """  # noqa: S608 - of constants


def page_of_several(to: Direction) -> str:
    """A few readings of each, the best of which are a threshold; then more of those that have more above it."""
    return f"""
        CREATE FUNCTION readings_of_several_{to.name}(
            {SEVERAL}, OUT selected int, OUT items text, OUT next_time timestamptz, OUT next_id uuid)
        {AS_READER} AS $$
        DECLARE
            wanted int := page_size + 1;  -- one more than the page, which tells whether there is a next one
            unread uuid[];                -- installations of which more may belong to the page
            each int;                     -- how many to read of each of them
            was_read int := 0;            -- how many were read of each of them before
            found public.reading[] := '{{}}';  -- of all that was read, what belongs to the page, in its order
        BEGIN
            {WITHIN_REACH}
            unread := public.installations_selected(
                of_tenant, of_properties, installation_ids, property_ids, unit_ids, media);
            selected := cardinality(unread);
            IF selected > most THEN
                RETURN;
            END IF;
            {to.near} := {to.nearer}({to.near}, at_time {to.back} interval '1 microsecond');
            each := ceil(1.5 * wanted / nullif(selected, 0));
            WHILE cardinality(unread) > 0 LOOP
                found := ARRAY(
                    SELECT a.r
                    FROM (
                        SELECT f AS r FROM unnest(found) f
                        UNION ALL
                        SELECT l.r
                        FROM unnest(unread) u (id)
                        CROSS JOIN LATERAL (
                            SELECT r FROM public.reading r
                            WHERE r.meter_installation_id = u.id AND r.timestamp > after AND r.timestamp < before
                              AND (at_time IS NULL
                                   OR (r.timestamp, r.meter_installation_id) {to.beyond} (at_time, at_id))
                            ORDER BY r.timestamp {to.order}
                            OFFSET was_read LIMIT each
                        ) l
                    ) a
                    ORDER BY (a.r).timestamp {to.order}, (a.r).meter_installation_id {to.order}
                    LIMIT wanted);
                was_read := was_read + each;
                each := 3 * was_read;
                -- Those all of whose readings so far lie before the last one found.
                unread := ARRAY(
                    SELECT f.meter_installation_id FROM unnest(found[1:page_size]) f
                    GROUP BY f.meter_installation_id HAVING count(*) = was_read);
                {to.far} := coalesce((found[wanted]).timestamp {to.ahead} interval '1 microsecond', {to.far});
            END LOOP;
            IF cardinality(found) = wanted THEN
                next_time := (found[page_size]).timestamp;
                next_id := (found[page_size]).meter_installation_id;
            END IF;
            SELECT string_agg(row_to_json(p)::text, ',') INTO items
            FROM (SELECT {ITEM} FROM unnest(found[1:page_size]) r) p;
            {IN_UTC}
        END $$
    """  # noqa: S608 - of constants


# Each selection by the index that fits: one statement for all would fit none. The foreign do not exist, by the
# filter here and by row-level security; the deleted do, for the history of a unit spans an exchange of meters.
INSTALLATIONS_SELECTED = """
    CREATE FUNCTION installations_selected(of_tenant uuid, of_properties uuid[],
        installation_ids uuid[], property_ids uuid[], unit_ids uuid[], media text[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        units uuid[] := unit_ids;
    BEGIN
        IF property_ids IS NOT NULL OR of_properties IS NOT NULL THEN
            units := ARRAY(
                SELECT u.id FROM public.unit u
                WHERE u.property_id = ANY (coalesce(property_ids, of_properties))
                  AND (of_properties IS NULL OR u.property_id = ANY (of_properties))
                  AND (unit_ids IS NULL OR u.id = ANY (unit_ids)));
        END IF;
        IF installation_ids IS NOT NULL THEN
            RETURN ARRAY(
                SELECT i.id FROM public.meter_installation i
                WHERE i.id = ANY (installation_ids) AND i.tenant_id = of_tenant
                  AND (units IS NULL OR i.unit_id = ANY (units)) AND (media IS NULL OR i.medium = ANY (media)));
        ELSIF units IS NOT NULL THEN
            RETURN ARRAY(
                SELECT i.id FROM public.meter_installation i
                WHERE i.unit_id = ANY (units) AND i.tenant_id = of_tenant
                  AND (media IS NULL OR i.medium = ANY (media)));
        ELSE
            RETURN ARRAY(
                SELECT i.id FROM public.meter_installation i
                WHERE i.tenant_id = of_tenant AND i.medium = ANY (media));
        END IF;
    END $$
"""

PAGE_BEFORE_A_TIME = """
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

ONE_TYPES = "uuid, uuid[], uuid, timestamptz, timestamptz, int"
SEVERAL_TYPES = "uuid, uuid[], uuid[], uuid[], uuid[], text[], timestamptz, timestamptz, timestamptz, uuid, int, int"
FOR_QUERY = (
    f"readings_newest_first({ONE_TYPES})",
    f"readings_oldest_first({ONE_TYPES})",
    f"readings_of_several_newest_first({SEVERAL_TYPES})",
    f"readings_of_several_oldest_first({SEVERAL_TYPES})",
)
FOR_THESE = "installations_selected(uuid, uuid[], uuid[], uuid[], uuid[], text[])"
BEFORE_A_TIME = "readings_page(uuid, uuid, timestamptz, integer)"


def upgrade() -> None:
    op.execute(f"DROP FUNCTION {BEFORE_A_TIME}")
    op.execute(INSTALLATIONS_SELECTED)
    for direction in (NEWEST_FIRST, OLDEST_FIRST):
        op.execute(page_of_one(direction))
        op.execute(page_of_several(direction))
    _hand_over(FOR_THESE, *FOR_QUERY)
    _let_query_call(*FOR_QUERY)


def downgrade() -> None:
    for function in (*FOR_QUERY, FOR_THESE):
        op.execute(f"DROP FUNCTION {function}")
    op.execute(PAGE_BEFORE_A_TIME)
    _hand_over(BEFORE_A_TIME)
    _let_query_call(BEFORE_A_TIME)


def _hand_over(*functions: str) -> None:
    """Make `mbus_reader` their owner, which must be allowed to create them; nobody else may call them."""
    op.execute("GRANT CREATE ON SCHEMA public TO mbus_reader")
    for function in functions:
        op.execute(f"ALTER FUNCTION {function} OWNER TO mbus_reader")
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    op.execute("REVOKE CREATE ON SCHEMA public FROM mbus_reader")


def _let_query_call(*functions: str) -> None:
    for function in functions:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO mbus_query")
