"""Tenants with their properties, gateways, units and meters, made in SQL: 40 installations on a property."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

UNITS = 10
METERS = 4
INSTALLATIONS_A_PROPERTY = UNITS * METERS

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
           cast(:installed_at AS timestamptz)
    FROM property p
    JOIN unit u ON u.property_id = p.id
    JOIN gateway g ON g.name = 'Gateway of ' || p.name AND g.tenant_id = p.tenant_id,
    (VALUES ('cold_water', 'm3'), ('warm_water', 'm3'), ('heat', 'kWh'), ('electricity', 'kWh')) m (medium, unit)
    """,
)


async def build_estate(connection: AsyncConnection, *, tenants: int, properties: int, installed_at: datetime) -> None:
    """Fill an empty database with `tenants` of so many `properties` each, where all meters were mounted at once."""
    known = {"tenants": tenants, "properties": properties, "units": UNITS, "installed_at": installed_at}
    for statement in REGISTRY:
        await connection.execute(text(statement), {name: known[name] for name in known if f":{name}" in statement})
