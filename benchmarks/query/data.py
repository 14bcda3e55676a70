"""What the bench reads: tenants with installations, hourly readings of some, and a state for each; made in SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.database import execute_outside
from benchmarks.estate import INSTALLATIONS_A_PROPERTY, build_estate

LAST = datetime(2026, 11, 1, tzinfo=UTC)
"""The time of everybody's newest reading."""
INSTALLED_AT = datetime(2023, 11, 1, tzinfo=UTC)
READINGS_A_STATEMENT = 2_000_000

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


@dataclass(frozen=True)
class Heard:
    """An installation that has readings, and whose it is."""

    tenant_id: UUID
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
    INSERT INTO reading (meter_installation_id, timestamp, value, received_at, rssi_dbm, battery_level_pct)
    SELECT i.id, at, floor((hour * 0.3 + random()) * 1000) / 1000, at + random() * interval '10 minutes',
           CASE WHEN random() < 0.9 THEN -95 + floor(random() * 45) END,
           CASE WHEN random() < 0.5 THEN 50 + floor(random() * 51) END
    FROM generate_series(cast(:first AS int), cast(:beyond AS int) - 1) AS hour,
         LATERAL (SELECT cast(:last AS timestamptz) - (:hours - 1 - hour) * interval '1 hour' AS at) AS moment,
         (SELECT id FROM meter_installation ORDER BY id LIMIT :heard) i
"""


async def make_data(engine: AsyncEngine, extent: Extent, tell: Tell) -> list[Heard]:
    """Fill an empty database and let the server settle; those that have readings."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await build_estate(connection, tenants=extent.tenants, properties=extent.properties, installed_at=INSTALLED_AT)
        await connection.execute(text(STATUS), {"last": LAST})
    at_once = max(READINGS_A_STATEMENT // extent.heard, 1)
    for first in range(0, extent.hours, at_once):
        beyond = min(first + at_once, extent.hours)
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(
                text(READINGS),
                {"first": first, "beyond": beyond, "hours": extent.hours, "heard": extent.heard, "last": LAST},
            )
        tell(f"{beyond * extent.heard:,} of {extent.readings:,} readings written")
    # What the server owes for these rows must not be paid while it is measured.
    await execute_outside(engine.url.render_as_string(hide_password=False), "VACUUM ANALYZE", "CHECKPOINT")
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT tenant_id, id FROM meter_installation ORDER BY id LIMIT :heard"), {"heard": extent.heard}
        )
        return [Heard(*row) for row in rows]
