"""What the bench reads: tenants with installations, hourly readings of some, and a state for each; made in SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.database import execute_outside

LAST = datetime(2026, 11, 1, tzinfo=UTC)
"""The time of everybody's newest reading."""
UNITS = 10
METERS = 4
INSTALLATIONS_A_PROPERTY = UNITS * METERS
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


REGISTRY = (
    "INSERT INTO tenant (slug, name) SELECT 'bench-' || n, 'Bench ' || n FROM generate_series(1, :tenants) n",
    """
    INSERT INTO property (tenant_id, name, address)
    SELECT t.id, 'House ' || n, 'Testvej ' || n || ', 8000 Aarhus' FROM tenant t, generate_series(1, :properties) n
    """,
    "INSERT INTO property_config (property_id) SELECT id FROM property",
    """
    INSERT INTO gateway (id, tenant_id, name)
    SELECT 'GW-' || row_number() OVER (), tenant_id, 'Gateway of ' || name FROM property
    """,
    "INSERT INTO unit (property_id, label) SELECT p.id, n || '. tv' FROM property p, generate_series(1, :units) n",
    """
    INSERT INTO meter_installation
        (tenant_id, unit_id, gateway_id, meter_serial, medium, unit_of_measure, installed_at)
    SELECT p.tenant_id, u.id, g.id, lpad((row_number() OVER ())::text, 8, '0'), m.medium, m.unit,
           cast(:last AS timestamptz) - interval '3 years'
    FROM property p
    JOIN unit u ON u.property_id = p.id
    JOIN gateway g ON g.name = 'Gateway of ' || p.name AND g.tenant_id = p.tenant_id,
    (VALUES ('cold_water', 'm3'), ('warm_water', 'm3'), ('heat', 'kWh'), ('electricity', 'kWh')) m (medium, unit)
    """,
    # As in a fleet that works: few are silent, and fewer were never heard.
    """
    UPDATE installation_status SET
        state = CASE WHEN silent THEN 'stale' ELSE 'fresh' END, state_since = installed_at, last_value = 1234.567,
        last_rssi_dbm = -71, last_battery_level_pct = 96, last_gateway_id = gateway_id,
        last_reading_at = cast(:last AS timestamptz) - random() * CASE WHEN silent THEN interval '90 days'
                                                                       ELSE interval '40 hours' END
    FROM (SELECT id, gateway_id, installed_at, random() < 0.03 AS silent FROM meter_installation) i
    WHERE i.id = installation_id AND random() < 0.99
    """,
)

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
        known = {"tenants": extent.tenants, "properties": extent.properties, "units": UNITS, "last": LAST}
        for statement in REGISTRY:
            await connection.execute(text(statement), {name: known[name] for name in known if f":{name}" in statement})
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
