"""An export of readings, written by the database: which installations, and the lines of a piece of their readings.

docs/architecture/export.md says how the pieces make a whole; docs/architecture/isolation.md what they may see.

Revision ID: 0017
Revises: 0016
"""

from dataclasses import dataclass

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

REACH = "of_tenant uuid, of_properties uuid[]"
SELECTION = "installation_ids uuid[], property_ids uuid[], unit_ids uuid[], media text[]"
PIECE = "installations uuid[], after timestamptz, before timestamptz, at_time timestamptz, most int"

SET_REACH = """
    PERFORM set_config('mbus.tenant_id', of_tenant::text, true),
            set_config('mbus.property_ids', coalesce(of_properties::text, ''), true);
"""

# In the order that people look for them in. As bytes, 16 for each: a tenant's may be very many, and the service keeps
# them for as long as the export takes. Of many, `since` is about when the readings begin: those of a hundred of them.
INSTALLATIONS = f"""
    CREATE FUNCTION installations_to_export({REACH}, {SELECTION}, after timestamptz, few int,
        OUT installations bytea, OUT since timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET enable_sort = off AS $$
    DECLARE
        selected uuid[];
    BEGIN
        {SET_REACH}
        IF num_nonnulls(of_properties, installation_ids, property_ids, unit_ids, media) = 0 THEN
            selected := ARRAY(SELECT i.id FROM public.meter_installation i WHERE i.tenant_id = of_tenant);
        ELSE
            selected := public.installations_selected(
                of_tenant, of_properties, installation_ids, property_ids, unit_ids, media);
        END IF;
        SELECT string_agg(uuid_send(i.id), '' ORDER BY p.name, u.label, i.meter_serial, i.installed_at, i.id)
        INTO installations
        FROM unnest(selected) s (id)
        JOIN public.meter_installation i ON i.id = s.id
        JOIN public.unit u ON u.id = i.unit_id
        JOIN public.property p ON p.id = u.property_id;
        IF cardinality(selected) > few THEN
            SELECT min(r.timestamp) INTO since
            FROM unnest(selected) WITH ORDINALITY s (id, place)
            CROSS JOIN LATERAL (
                SELECT r.timestamp FROM public.reading r
                WHERE r.meter_installation_id = s.id AND r.timestamp > coalesce(after, '-infinity')
                ORDER BY r.timestamp
                LIMIT 1
            ) r
            WHERE s.place % (cardinality(selected) / 100 + 1) = 0;
        END IF;
    END $$
"""  # noqa: S608 - of constants

# A spreadsheet takes what begins so for a formula: after blanks, and after what separates cells elsewhere. Not after a
# comma: that stands in addresses, and where it separates cells, quotes hold. All of no length, for of several matches
# the longest counts.
FORMULA = r"^(?=[\t\r\n])|(^|(?<=[;\t\r\n]))(?=[\s\u00A0\uFEFF\"]*[-=+@\uFF0D\uFF1D\uFF0B\uFF20])"


def cell(text: str) -> str:
    """A text as a cell of a CSV file, in quotes whatever it is, and with an apostrophe where it begins a formula."""
    return f"""'"' || replace(regexp_replace({text}, '{FORMULA}', '''', 'g'), '"', '""') || '"'"""


def iso(time: str) -> str:
    """A time as all the rest of the API writes it."""
    return f"replace(replace({time}::text, ' ', 'T'), '+00', 'Z')"


@dataclass(frozen=True)
class Form:
    """How a line is written: what it has of the installation `i`, and then of the reading `r`."""

    name: str
    of_installation: str
    of_reading: str


def csv(name: str, *, separator: str, value: str) -> Form:
    """Cells between separators."""
    return Form(
        name,
        f"""concat(i.id, '{separator}', {cell("i.meter_serial")}, '{separator}', i.medium, '{separator}',
                   i.unit_of_measure, '{separator}', {cell("p.name")}, '{separator}', {cell("u.label")})""",
        f"""concat(i.line, '{separator}', {iso("r.timestamp")}, '{separator}', {value}, '{separator}', r.rssi_dbm,
                   '{separator}', r.battery_level_pct, '{separator}', {iso("r.received_at")}, E'\\r\\n')""",
    )


FORMS = (
    csv("csv", separator=",", value="r.value"),
    csv("csv_with_decimal_comma", separator=";", value="replace(r.value::text, '.', ',')"),
    Form(
        "ndjson",
        """(SELECT left(row_to_json(c)::text, -1)
            FROM (SELECT i.id AS meter_installation_id, i.meter_serial, i.medium, i.unit_of_measure,
                         p.name AS property_name, u.label AS unit_label) c)""",
        f"""concat(i.line, ',"timestamp":"', {iso("r.timestamp")}, '","value":', r.value,
                   ',"rssi_dbm":', coalesce(r.rssi_dbm::text, 'null'),
                   ',"battery_level_pct":', coalesce(r.battery_level_pct::text, 'null'),
                   ',"received_at":"', {iso("r.received_at")}, E'"}}\\n')""",
    ),
)


def lines(form: Form) -> str:
    """Of the first of `installations` the readings later than `at_time`, and of the rest all, up to `most` in all.

    `place` and `last_time` are of the last line where there are `most`; where there are fewer, it was all.
    """
    return f"""
        CREATE FUNCTION readings_as_{form.name}({REACH}, {PIECE},
            OUT lines bytea, OUT rows int, OUT place int, OUT last_time timestamptz)
        LANGUAGE plpgsql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET extra_float_digits = 1
        SET plan_cache_mode = force_generic_plan SET enable_sort = off
        AS $$
        BEGIN
            {SET_REACH}
            after := coalesce(after, '-infinity');
            before := coalesce(before, 'infinity');
            SELECT convert_to(string_agg(w.line, ''), 'UTF8'), count(*), max(w.place),
                   max(w.timestamp) FILTER (WHERE w.number = most)
            INTO lines, rows, place, last_time
            FROM (
                SELECT s.place, r.timestamp, row_number() OVER () AS number, {form.of_reading} AS line
                FROM unnest(installations) WITH ORDINALITY s (id, place)
                CROSS JOIN LATERAL (
                    SELECT {form.of_installation} AS line
                    FROM public.meter_installation i
                    JOIN public.unit u ON u.id = i.unit_id
                    JOIN public.property p ON p.id = u.property_id
                    WHERE i.id = s.id AND i.tenant_id = of_tenant
                      AND (of_properties IS NULL OR u.property_id = ANY (of_properties))
                    OFFSET 0
                ) i
                CROSS JOIN LATERAL (
                    SELECT * FROM public.reading r
                    WHERE r.meter_installation_id = s.id AND r.timestamp > after AND r.timestamp < before
                      AND r.timestamp > CASE WHEN s.place = 1 AND at_time IS NOT NULL THEN at_time ELSE after END
                    ORDER BY r.timestamp
                    LIMIT most
                ) r
                LIMIT most
            ) w;
        END $$
    """  # noqa: S608 - of constants


REACH_TYPES = "uuid, uuid[]"
INSTALLATIONS_TYPES = f"{REACH_TYPES}, uuid[], uuid[], uuid[], text[], timestamptz, int"
PIECE_TYPES = f"{REACH_TYPES}, uuid[], timestamptz, timestamptz, timestamptz, int"
FOR_QUERY = (
    f"installations_to_export({INSTALLATIONS_TYPES})",
    *(f"readings_as_{form.name}({PIECE_TYPES})" for form in FORMS),
)


def upgrade() -> None:
    # As text: the driver would take what looks like a parameter for one.
    connection = op.get_bind()
    for statement in (INSTALLATIONS, *map(lines, FORMS)):
        connection.exec_driver_sql(statement)
    op.execute("GRANT CREATE ON SCHEMA public TO mbus_reader")
    for function in FOR_QUERY:
        op.execute(f"ALTER FUNCTION {function} OWNER TO mbus_reader")
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO mbus_query")
    op.execute("REVOKE CREATE ON SCHEMA public FROM mbus_reader")


def downgrade() -> None:
    for function in reversed(FOR_QUERY):
        op.execute(f"DROP FUNCTION {function}")
