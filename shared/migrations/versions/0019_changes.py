"""The feed of changes: what each commit stored of each tenant, in the order of commits.

docs/architecture/changes.md says why each is as it is.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NUMBERS_A_COMMIT = 2**20

# The setting is '' after a transaction that set it, hence the nullif.
TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"

# Ingest may be the old one for a while after the migration, and stores without a number.
TIME_TO_RESTART_INGEST = "interval '1 day'"

TABLES = (
    # The number by which a reading's latest change is found; 0: it was stored before there were any.
    "ALTER TABLE reading ADD COLUMN batch bigint DEFAULT 0 NOT NULL",
    "CREATE INDEX ix_reading_batch ON reading USING brin (batch int8_minmax_multi_ops) WITH (pages_per_range = 32)",
    f"CREATE SEQUENCE reading_batch INCREMENT BY {NUMBERS_A_COMMIT}",
    # How many readings all batches have held, so far as is known: nothing depends on it but what is read for nothing.
    "CREATE SEQUENCE reading_count MINVALUE 0 START WITH 0",
    """
    CREATE TABLE change_batch (
        tenant_id uuid NOT NULL,
        position bigint NOT NULL,
        batch bigint NOT NULL,
        rows integer NOT NULL,
        stored_before bigint NOT NULL,
        earliest timestamptz NOT NULL,
        latest timestamptz NOT NULL,
        stored_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT pk_change_batch PRIMARY KEY (tenant_id, position)
    )
    """,
    f"""
    INSERT INTO change_batch (tenant_id, position, batch, rows, stored_before, earliest, latest)
    SELECT id, 1, 0, 0, 0, '-infinity', now() + {TIME_TO_RESTART_INGEST} FROM tenant
    """,  # noqa: S608 - of a constant
    "ALTER TABLE change_batch ENABLE ROW LEVEL SECURITY",
    f"CREATE POLICY of_tenant ON change_batch TO mbus_reader USING (tenant_id = {TENANT})",
    "CREATE POLICY of_every_tenant ON change_batch TO mbus_ingest USING (true)",
    "GRANT USAGE ON SEQUENCE reading_batch TO mbus_ingest",
    "GRANT SELECT, UPDATE ON SEQUENCE reading_count TO mbus_ingest",
    "GRANT SELECT, INSERT ON change_batch TO mbus_ingest",
    "GRANT SELECT ON change_batch TO mbus_reader",
)

# Last in a transaction of ingest's. Who waits for the lock goes on when the one who had it is visible to all, and each
# statement in here sees what was committed before it began. So positions are in the order of commits, without gaps.
NOTE_CHANGES = """
    CREATE FUNCTION note_changes(tenants uuid[], batches bigint[], row_counts integer[],
                                 first_times timestamptz[], last_times timestamptz[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
    DECLARE
        counted bigint;
    BEGIN
        -- All that is left is the end of the transaction: whoever does not come to it soon must not stop all others.
        PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
        PERFORM pg_advisory_xact_lock('public.change_batch'::regclass::bigint);
        counted := (SELECT c.last_value FROM public.reading_count c);
        PERFORM setval('public.reading_count', counted + (SELECT sum(n) FROM unnest(row_counts) n));
        INSERT INTO public.change_batch (tenant_id, position, batch, rows, stored_before, earliest, latest)
        SELECT n.tenant,
               coalesce((SELECT max(c.position) FROM public.change_batch c WHERE c.tenant_id = n.tenant), 0)
                   + row_number() OVER (PARTITION BY n.tenant ORDER BY n.batch),
               n.batch, n.row_count, counted + sum(n.row_count) OVER (ORDER BY n.batch) - n.row_count,
               n.first_time, n.last_time
        FROM unnest(tenants, batches, row_counts, first_times, last_times)
            AS n (tenant, batch, row_count, first_time, last_time);
    END $$
"""

# The index knows nothing of new pages until somebody asks it to. By autovacuum that is late, and by its autosummarize
# not at all where much is stored. Not while a vacuum is at work on a table, which does it too, and which would be
# cancelled for who waits longer than `deadlock_timeout`. It is the owner who may.
SUMMARISE_BATCHES = """
    CREATE FUNCTION summarise_batches() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
    DECLARE
        one regclass;
    BEGIN
        IF NOT pg_try_advisory_xact_lock('public.ix_reading_batch'::regclass::bigint) THEN
            RETURN;
        END IF;
        FOR one IN
            SELECT x.oid
            FROM pg_index i
            JOIN pg_class x ON x.oid = i.indexrelid
            JOIN pg_am a ON a.oid = x.relam AND a.amname = 'brin'
            WHERE i.indrelid = 'public.reading'::regclass
               OR i.indrelid IN (SELECT h.inhrelid FROM pg_inherits h WHERE h.inhparent = 'public.reading'::regclass)
        LOOP
            BEGIN
                PERFORM brin_summarize_new_values(one);
            EXCEPTION WHEN lock_not_available OR undefined_table THEN  -- a chunk may have been dropped just now
                NULL;
            END;
        END LOOP;
    END $$
"""

# STABLE, so that all statements of a page see the same rows; and settings as in 0009. Workers take longer to start than
# a page takes; the planner, who does not know how near the batches are, would have some.
AS_READER = """
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET max_parallel_workers_per_gather = 0
"""

# A run of batches that lie near each other in the table is one range of the index, and what lies between them is read
# for nothing. Where a tenant is one of many, its batches lie far apart; then a page ends after so many runs.
NEAR_ROWS = 4_000
RUNS_A_PAGE = 24
ROWS_FOR_NOTHING = 20_000

# Where readings from before there were batches are few, so many installations are looked at for a page.
INSTALLATIONS_A_PAGE = 2_000

ITEM = "r.meter_installation_id, r.timestamp, r.value, r.rssi_dbm, r.battery_level_pct, r.received_at"

WITHIN_REACH = """i.tenant_id = of_tenant AND (of_properties IS NULL OR EXISTS (
                SELECT FROM public.unit u WHERE u.id = i.unit_id AND u.property_id = ANY (of_properties)))"""

# What several batches hold, as one range of the index: up to `room` readings, how many there are, counted up to one
# more, and the key of the last one that there was room for. The range is read by itself: joined at once, the planner
# may look for each number on its own. And the installations too, each once: a page has a few readings of each. What is
# then joined are some thousands of rows, which the planner believes to be ten.
CHANGES_OF_RUN = f"""
    CREATE FUNCTION changes_of_run(
        of_tenant uuid, of_properties uuid[], numbers bigint[], positions bigint[], earliest timestamptz,
        latest timestamptz, after_position bigint, after_id uuid, after_time timestamptz, room int,
        OUT met int, OUT items text, OUT last_position bigint, OUT last_id uuid, OUT last_time timestamptz)
    {AS_READER} SET enable_nestloop = off AS $$
    DECLARE
        lowest bigint := (SELECT min(n) FROM unnest(numbers) n);
        highest bigint := (SELECT max(n) FROM unnest(numbers) n);
        visible uuid[] := public.installations_selected(of_tenant, of_properties, ARRAY(
            SELECT DISTINCT r.meter_installation_id FROM public.reading r
            WHERE r.batch BETWEEN lowest AND highest AND r.timestamp BETWEEN earliest AND latest), NULL, NULL, NULL);
    BEGIN
        WITH of_range AS MATERIALIZED (
            SELECT r.* FROM public.reading r
            WHERE r.batch BETWEEN lowest AND highest AND r.timestamp BETWEEN earliest AND latest
        )
        SELECT count(*), string_agg(row_to_json(item)::text, ',') FILTER (WHERE r.place <= room),
               max(r.position) FILTER (WHERE r.place = room),
               (array_agg(r.meter_installation_id) FILTER (WHERE r.place = room))[1],
               max(r.timestamp) FILTER (WHERE r.place = room)
        INTO met, items, last_position, last_id, last_time
        FROM (
            SELECT s.*, row_number() OVER () AS place
            FROM (
                SELECT r.*, b.position
                FROM of_range r
                JOIN unnest(numbers, positions) b (batch, position) ON b.batch = r.batch
                JOIN unnest(visible) i (id) ON i.id = r.meter_installation_id
                WHERE (after_id IS NULL
                       OR (b.position, r.meter_installation_id, r.timestamp)
                           > (after_position, after_id, coalesce(after_time, 'infinity')))
                ORDER BY b.position, r.meter_installation_id, r.timestamp
                LIMIT room + 1
            ) s
        ) r CROSS JOIN LATERAL (SELECT {ITEM}) item;
    END $$
"""  # noqa: S608 - of constants

# What was stored before there were batches may be millions: along the primary key, as far as the page goes.
CHANGES_BEFORE_BATCHES = f"""
    CREATE FUNCTION changes_before_batches(
        of_tenant uuid, of_properties uuid[], latest timestamptz, after_id uuid, after_time timestamptz, room int,
        OUT met int, OUT items text, OUT last_id uuid, OUT last_time timestamptz)
    {AS_READER} SET enable_sort = off AS $$
    DECLARE
        one uuid;
        looked_at int := 0;
        more record;
        texts text[] := '{{}}';
    BEGIN
        met := 0;
        FOR one IN
            SELECT i.id FROM public.meter_installation i
            WHERE {WITHIN_REACH} AND i.id >= coalesce(after_id, '00000000-0000-0000-0000-000000000000')
            ORDER BY i.id
        LOOP
            SELECT count(*), string_agg(row_to_json(p.r)::text, ',') FILTER (WHERE p.place <= room - met) AS items,
                   max((p.r).timestamp) FILTER (WHERE p.place <= room - met) AS last_time
            INTO more
            FROM (
                SELECT r, row_number() OVER () AS place
                FROM (
                    SELECT {ITEM} FROM public.reading r
                    WHERE r.meter_installation_id = one AND r.batch = 0 AND r.timestamp <= latest
                      AND r.timestamp > CASE WHEN one = after_id THEN coalesce(after_time, 'infinity')
                                             ELSE '-infinity' END
                    ORDER BY r.timestamp
                    LIMIT room - met + 1
                ) r
            ) p;
            met := met + more.count;
            looked_at := looked_at + 1;
            IF more.items IS NOT NULL THEN
                texts := texts || more.items;
                last_id := one;
                last_time := more.last_time;
            END IF;
            EXIT WHEN met > room;
            IF looked_at = {INSTALLATIONS_A_PAGE} THEN
                met := room + 1;
                last_id := one;
                last_time := NULL;
                EXIT;
            END IF;
        END LOOP;
        items := nullif(array_to_string(texts, ','), '');
    END $$
"""  # noqa: S608 - of constants

# Of `after_id` what is later than `after_time`; without one, the whole position is behind the cursor.
CHANGES = f"""
    CREATE FUNCTION changes(
        of_tenant uuid, of_properties uuid[], after_position bigint, after_stored_at timestamptz, after_id uuid,
        after_time timestamptz, page_size int,
        OUT is_known boolean, OUT items text, OUT next_position bigint, OUT next_stored_at timestamptz,
        OUT next_id uuid, OUT next_time timestamptz, OUT has_next boolean)
    {AS_READER} AS $$
    DECLARE
        first bigint := after_position + (after_id IS NULL)::int;  -- the position to go on with
        room int := page_size;
        runs int := 0;
        looked_at bigint := 0;
        numbers bigint[];
        positions bigint[];
        run_rows bigint;
        earliest timestamptz;
        latest timestamptz;
        b public.change_batch;
        before public.change_batch;
        gap bigint;
        run record;
        texts text[] := '{{}}';
    BEGIN
        PERFORM set_config('mbus.tenant_id', of_tenant::text, true),
                set_config('mbus.property_ids', coalesce(of_properties::text, ''), true);
        is_known := after_position = 0 OR EXISTS (
            SELECT FROM public.change_batch c
            WHERE c.tenant_id = of_tenant AND c.position = after_position AND c.stored_at = after_stored_at);
        IF NOT is_known THEN
            RETURN;
        END IF;
        next_position := after_position;
        next_id := after_id;
        next_time := after_time;
        WHILE room > 0 AND runs < {RUNS_A_PAGE} AND looked_at < page_size + {ROWS_FOR_NOTHING} LOOP
            numbers := '{{}}';
            positions := '{{}}';
            run_rows := 0;
            earliest := 'infinity';
            latest := '-infinity';
            FOR b IN
                SELECT * FROM public.change_batch c
                WHERE c.tenant_id = of_tenant AND c.position >= first
                ORDER BY c.position
            LOOP
                gap := CASE WHEN cardinality(numbers) = 0 THEN 0
                            ELSE b.stored_before - before.stored_before - before.rows END;
                EXIT WHEN run_rows >= room OR gap > {NEAR_ROWS} OR looked_at >= page_size + {ROWS_FOR_NOTHING}
                          OR cardinality(numbers) > 0 AND before.batch = 0;
                numbers := numbers || b.batch;
                positions := positions || b.position;
                run_rows := run_rows + b.rows;
                looked_at := looked_at + b.rows + gap;
                earliest := least(earliest, b.earliest);
                latest := greatest(latest, b.latest);
                first := b.position + 1;
                before := b;
            END LOOP;
            EXIT WHEN cardinality(numbers) = 0;
            IF numbers[1] = 0 THEN
                SELECT f.*, before.position AS last_position INTO run
                FROM public.changes_before_batches(
                    of_tenant, of_properties, latest, next_id, next_time, room) f;
            ELSE
                SELECT f.* INTO run
                FROM public.changes_of_run(
                    of_tenant, of_properties, numbers, positions, earliest, latest,
                    next_position, next_id, next_time, room) f;
            END IF;
            runs := runs + 1;
            texts := texts || run.items;
            next_position := before.position;
            next_id := NULL;
            next_time := NULL;
            IF run.met > room THEN
                next_position := run.last_position;
                next_id := run.last_id;
                next_time := run.last_time;
                EXIT;
            END IF;
            room := room - run.met;
        END LOOP;
        has_next := next_id IS NOT NULL OR EXISTS (
            SELECT FROM public.change_batch c WHERE c.tenant_id = of_tenant AND c.position > next_position);
        next_stored_at := (
            SELECT c.stored_at FROM public.change_batch c
            WHERE c.tenant_id = of_tenant AND c.position = next_position);
        -- The time zone is UTC here, which PostgreSQL writes in another way than all the rest of the API.
        items := replace(array_to_string(texts, ','), '+00:00"', 'Z"');
    END $$
"""  # noqa: S608 - of constants

NOTE_CHANGES_OF = "note_changes(uuid[], bigint[], integer[], timestamptz[], timestamptz[])"
SUMMARISE = "summarise_batches()"
OF_RUN = "changes_of_run(uuid, uuid[], bigint[], bigint[], timestamptz, timestamptz, bigint, uuid, timestamptz, int)"
BEFORE_BATCHES = "changes_before_batches(uuid, uuid[], timestamptz, uuid, timestamptz, int)"
FOR_QUERY = "changes(uuid, uuid[], bigint, timestamptz, uuid, timestamptz, int)"
CALLERS = {NOTE_CHANGES_OF: "mbus_ingest", SUMMARISE: "mbus_ingest", FOR_QUERY: "mbus_query"}
OF_READER = (OF_RUN, BEFORE_BATCHES, FOR_QUERY)


def upgrade() -> None:
    for statement in (*TABLES, NOTE_CHANGES, SUMMARISE_BATCHES, CHANGES_OF_RUN, CHANGES_BEFORE_BATCHES, CHANGES):
        op.execute(statement)
    # The new owner must be allowed to create them.
    op.execute("GRANT CREATE ON SCHEMA public TO mbus_reader")
    for function in OF_READER:
        op.execute(f"ALTER FUNCTION {function} OWNER TO mbus_reader")
    op.execute("REVOKE CREATE ON SCHEMA public FROM mbus_reader")
    for function in (*OF_READER, NOTE_CHANGES_OF, SUMMARISE):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    for function, role in CALLERS.items():
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


def downgrade() -> None:
    for function in (FOR_QUERY, BEFORE_BATCHES, OF_RUN, SUMMARISE, NOTE_CHANGES_OF):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE change_batch")
    op.execute("DROP SEQUENCE reading_count")
    op.execute("DROP SEQUENCE reading_batch")
    op.execute("DROP INDEX ix_reading_batch")
    op.execute("ALTER TABLE reading DROP COLUMN batch")
