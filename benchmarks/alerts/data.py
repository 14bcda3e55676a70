"""The installations of the bench, as a fleet that works: heard, with timers that come later; and some that are due."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from benchmarks.database import execute_outside
from benchmarks.estate import INSTALLATIONS_A_PROPERTY, build_estate
from benchmarks.ingest.load import Fleet

TENANTS = 10
LIMIT = timedelta(hours=48)
"""Of a tenant that has not said otherwise."""
SILENCE = timedelta(hours=60)
"""Longer than any limit here, its quiet hours included."""
HISTORY_HOURS = 100
"""Hourly readings of one that is due, before it fell silent."""
RECENT_HOURS = 3
"""Hourly readings of one that is not."""

# Limits of a whole medium in each tenant, one with hours that do not count; of some houses; of some meters.
# What each of them would let alerts look at again is written afterwards.
POLICIES = (
    "ALTER TABLE policy DISABLE TRIGGER USER",
    """
    INSERT INTO policy (tenant_id, medium, stale_after, quiet_from, quiet_until, time_zone)
    SELECT id, 'heat', interval '48 hours', time '01:00', time '04:00', 'Europe/Copenhagen' FROM tenant
    """,
    "INSERT INTO policy (tenant_id, medium, stale_after) SELECT id, 'electricity', interval '24 hours' FROM tenant",
    """
    INSERT INTO policy (tenant_id, property_id, stale_after)
    SELECT tenant_id, id, interval '36 hours' FROM property WHERE name LIKE '%7'
    """,
    """
    INSERT INTO policy (tenant_id, installation_id, stale_after)
    SELECT tenant_id, id, interval '40 hours' FROM meter_installation WHERE meter_serial LIKE '%77'
    """,
    "ALTER TABLE policy ENABLE TRIGGER USER",
)

HEARD = (
    """
    UPDATE installation_status SET
        state = 'fresh', state_since = i.installed_at, registered_at = i.installed_at,
        last_value = 1234.567, last_rssi_dbm = -71, last_battery_level_pct = 96, last_gateway_id = i.gateway_id,
        last_reading_at = cast(:now AS timestamptz) - random() * interval '20 hours',
        due_at = cast(:now AS timestamptz) + interval '1 day' + random() * interval '1 day'
    FROM meter_installation i WHERE i.id = installation_id
    """,
    "INSERT INTO gateway_heard (gateway_id, heard_at) SELECT id, :now FROM gateway ON CONFLICT DO NOTHING",
    """
    UPDATE gateway_status
    SET due_at = cast(:now AS timestamptz) + interval '1 day',
        registered_at = cast(:now AS timestamptz) - interval '1 year'
    """,
)

# A thousand after the other, spread over the whole table.
DUE = """
    UPDATE installation_status s
    SET due_at = cast(:first AS timestamptz) + n / :at_once * interval '1 second',
        last_reading_at = cast(:first AS timestamptz) + n / :at_once * interval '1 second' - cast(:silence AS interval)
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM meter_installation ORDER BY id LIMIT :due) i
    WHERE i.id = s.installation_id
"""

# In the order in which they came: at each hour every installation.
READINGS = """
    INSERT INTO reading (meter_installation_id, timestamp, value, received_at, rssi_dbm, battery_level_pct)
    SELECT installation_id, last_reading_at - hour * interval '1 hour', 1234.567 - hour,
           last_reading_at - hour * interval '1 hour', -71, 96
    FROM generate_series(:hours - 1, 0, -1) AS hour, installation_status
    WHERE (due_at <= :first_and_rounds) = :of_due
"""


async def make_data(
    engine: AsyncEngine, *, installations: int, now: datetime, due: int = 0, at_once: int = 1, policies: bool = False
) -> None:
    """Fill an empty database, and let the server settle.

    Nobody is silent but the first `due` by id: `at_once` of them fell due at `now`, as many a second later, and so on.
    """
    seconds = timedelta(seconds=due // at_once)
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await build_estate(
            connection,
            tenants=TENANTS,
            properties=installations // INSTALLATIONS_A_PROPERTY // TENANTS,
            installed_at=now - timedelta(days=900),
        )
        for statement in POLICIES if policies else ():
            await connection.execute(text(statement))
        await let_be_heard(connection, now)
        await connection.execute(text(DUE), {"first": now, "at_once": at_once, "due": due, "silence": SILENCE})
        for of_due, hours in ((False, RECENT_HOURS), (True, HISTORY_HOURS)):
            await connection.execute(
                text(READINGS), {"hours": hours, "of_due": of_due, "first_and_rounds": now + seconds}
            )
    # What the server owes for these rows must not be paid while it is measured.
    await execute_outside(engine.url.render_as_string(hide_password=False), "VACUUM ANALYZE", "CHECKPOINT")


async def let_be_heard(connection: AsyncConnection, now: datetime) -> None:
    """Let every installation have been heard within a day before `now`, and every gateway at `now`."""
    for statement in HEARD:
        await connection.execute(text(statement), {"now": now} if ":now" in statement else {})


async def fleet_of(engine: AsyncEngine) -> Fleet:
    """The gateways with the meters that they are expected to hear."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT gateway_id, array_agg(id) AS meters FROM meter_installation GROUP BY gateway_id ORDER BY 1")
        )
        return Fleet({row.gateway_id: row.meters for row in rows})
