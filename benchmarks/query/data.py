"""What the bench reads: tenants with installations, hourly readings of some, and a state for each; made in SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.database import execute_outside
from benchmarks.estate import INSTALLATIONS_A_PROPERTY, build_estate
from shared.models import NUMBERS_A_COMMIT

LAST = datetime(2026, 11, 1, tzinfo=UTC)
"""The time of everybody's newest reading."""
INSTALLED_AT = datetime(2023, 11, 1, tzinfo=UTC)
READINGS_A_STATEMENT = 2_000_000
READINGS_A_BATCH = 200
"""What a commit of ingest stores when a few gateways have just sent their hour."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """`tenants` with `properties` of 40 installations each, of which `heard` in all have `hours` readings each."""

    tenants: int
    properties: int
    heard: int
    hours: int

    @property
    def installations(self) -> int:
        """How many there are in all."""
        return self.tenants * self.properties * INSTALLATIONS_A_PROPERTY

    @property
    def readings(self) -> int:
        """How many there are in all."""
        return self.heard * self.hours

    @property
    def days(self) -> int:
        """How many whole days up to the last reading there are, of one year at most."""
        return min((self.hours - 1) // 24, 365)


@dataclass(frozen=True)
class Heard:
    """An installation that has readings, and whose and where it is."""

    tenant_id: UUID
    property_id: UUID
    installation_id: UUID


# As in a fleet that works: few are silent, and fewer were never heard.
STATUS = """
    UPDATE installation_status SET
        state = CASE WHEN silent THEN 'stale' ELSE 'fresh' END, state_since = installed_at, last_value = 1234.567,
        last_rssi_dbm = -71, last_battery_level_pct = 96, last_gateway_id = gateway_id,
        last_reading_at = cast(:last AS timestamptz) - random() * CASE WHEN silent THEN interval '90 days'
                                                                       ELSE interval '40 hours' END
    FROM (SELECT id, gateway_id, installed_at, random() < 0.03 AS silent FROM meter_installation) i
    WHERE i.id = installation_id AND random() < 0.99
"""

# In the order in which they came: at each hour every installation, so that a page lies all over the table.
READINGS = """
    INSERT INTO reading (meter_installation_id, timestamp, value, received_at, rssi_dbm, battery_level_pct, batch)
    SELECT i.id, at, floor((hour + random()) * 300) / 1000, at + random() * interval '10 minutes',
           CASE WHEN random() < 0.9 THEN -95 + floor(random() * 45) END,
           CASE WHEN random() < 0.5 THEN 50 + floor(random() * 51) END,
           (1 + hour::bigint * :batches + i.batch) * :numbers
    FROM generate_series(cast(:first AS int), cast(:beyond AS int) - 1) AS hour,
         LATERAL (SELECT cast(:last AS timestamptz) - (:hours - 1 - hour) * interval '1 hour' AS at) AS moment,
         heard i
    ORDER BY hour, i.batch, i.id
"""
# Those that are heard, building by building; each in one of the batches of an hour, which are of one tenant each.
HEARD = """
    CREATE TABLE heard AS
    SELECT id, tenant_id, property_id, dense_rank() OVER (ORDER BY tenant_id, place / :size) - 1 AS batch
    FROM (SELECT i.*, row_number() OVER (PARTITION BY tenant_id ORDER BY property_id, id) - 1 AS place
          FROM (SELECT i.id, i.tenant_id, u.property_id FROM meter_installation i JOIN unit u ON u.id = i.unit_id
                ORDER BY u.property_id, i.id LIMIT :heard) i) i
"""
BATCHES = """
    INSERT INTO change_batch (tenant_id, position, batch, rows, stored_before, earliest, latest)
    SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY hour, batch),
           (1 + hour::bigint * :batches + batch) * :numbers, rows, sum(rows) OVER (ORDER BY hour, batch) - rows, at, at
    FROM generate_series(0, :hours - 1) AS hour,
         LATERAL (SELECT cast(:last AS timestamptz) - (:hours - 1 - hour) * interval '1 hour' AS at) AS moment,
         (SELECT tenant_id, batch, count(*) AS rows FROM heard GROUP BY tenant_id, batch) b
"""


async def make_data(engine: AsyncEngine, extent: Extent, tell: Tell) -> list[Heard]:
    """Fill an empty database and let the server settle; those that have readings."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await build_estate(connection, tenants=extent.tenants, properties=extent.properties, installed_at=INSTALLED_AT)
        await connection.execute(text(STATUS), {"last": LAST})
        await connection.execute(text(HEARD), {"heard": extent.heard, "size": READINGS_A_BATCH})
        batches = await connection.scalar(text("SELECT max(batch) + 1 FROM heard"))
    at_once = max(READINGS_A_STATEMENT // extent.heard, 1)
    known = {"hours": extent.hours, "last": LAST, "batches": batches, "numbers": NUMBERS_A_COMMIT}
    for first in range(0, extent.hours, at_once):
        beyond = min(first + at_once, extent.hours)
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(text(READINGS), known | {"first": first, "beyond": beyond})
        tell(f"{beyond * extent.heard:,} of {extent.readings:,} readings written")
    async with engine.begin() as connection:
        await connection.execute(text(BATCHES), known)
    # What the server owes for these rows must not be paid while it is measured.
    await execute_outside(engine.url.render_as_string(hide_password=False), "VACUUM ANALYZE", "CHECKPOINT")
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT tenant_id, property_id, id FROM heard ORDER BY id"))
        return [Heard(*row) for row in rows]
