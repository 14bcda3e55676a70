"""What tests of alerts do to the world, and what they see of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.gateways import GatewaysSwept, sweep_gateways
from services.alerts.operations.sweeping import Swept, sweep
from shared.messages.readings_stored import InstallationHeard, ReadingsStored
from tests.support.registry import Building

TOUCHED = "xmin = pg_current_xact_id()::xid"
"""What this transaction has written."""


async def tick(engine: AsyncEngine, at: datetime) -> tuple[GatewaysSwept, Swept]:
    """What alerts does each second: the gateways, then the installations."""
    return await sweep_gateways(engine, at, at), await sweep(engine, at, at)


def heard(
    building: Building,
    at: datetime,
    *,
    number: int = 0,
    value: float = 1.5,
    received_at: datetime | None = None,
    gateway_id: str | None = None,
) -> ReadingsStored:
    """The event of one reading of the building's meter of that number."""
    gateway = gateway_id or building.gateway_id
    return ReadingsStored(
        tenant_id=building.tenant_id,
        gateways=[gateway],
        installations=[
            InstallationHeard(
                installation_id=building.installation_ids[number],
                gateway_id=gateway,
                timestamp=at,
                value=value,
                rssi_dbm=-70,
                battery_level_pct=None,
                count=1,
                received_at=received_at,
            )
        ],
    )


async def change(engine: AsyncEngine, statement: str, **values: object) -> None:
    """Do something to the database."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)


async def touched(engine: AsyncEngine, statement: str, **values: object) -> tuple[set[UUID], set[str]]:
    """Carry out the statement: the installations and the gateways that are to be looked at again for it."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), values)
        installations = await connection.scalars(
            text(f"SELECT installation_id FROM installation_status WHERE {TOUCHED}")
        )
        gateways = await connection.scalars(text(f"SELECT gateway_id FROM gateway_status WHERE {TOUCHED}"))
        return set(installations), set(gateways)


async def rows(engine: AsyncEngine, query: str, **values: object) -> list[tuple[Any, ...]]:
    """What a query finds."""
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query), values)]


async def store(
    engine: AsyncEngine,
    installation_id: UUID,
    times: Sequence[datetime],
    *,
    value: float = 1.5,
    received_at: datetime | None = None,
) -> None:
    """Readings as ingest stores them, without an event: as where it is late."""
    for at in times:
        await change(
            engine,
            'INSERT INTO reading AS stored (meter_installation_id, "timestamp", value, received_at, rssi_dbm)'
            " VALUES (:id, :at, :value, :received, -70)"
            ' ON CONFLICT (meter_installation_id, "timestamp") DO UPDATE'
            " SET value = excluded.value, received_at = excluded.received_at"
            " WHERE stored.value <> excluded.value AND stored.received_at < excluded.received_at",
            id=installation_id,
            at=at,
            value=value,
            received=received_at or at,
        )


async def long_registered(engine: AsyncEngine, at: datetime) -> None:
    """Let gateways and installations have been registered a year before."""
    registered = at - timedelta(days=365)
    for table in ("gateway_status", "installation_status"):
        await change(engine, f"UPDATE {table} SET registered_at = :at, due_at = :at", at=registered)


async def hear_gateway(engine: AsyncEngine, gateway_id: str, at: datetime) -> None:
    """What ingest notes of a gateway's message."""
    await change(
        engine,
        "INSERT INTO gateway_heard (gateway_id, heard_at) VALUES (:id, :at)"
        " ON CONFLICT (gateway_id) DO UPDATE SET heard_at = greatest(gateway_heard.heard_at, excluded.heard_at)",
        id=gateway_id,
        at=at,
    )


async def judged_until(engine: AsyncEngine, at: datetime) -> None:
    """Let all be known by `at`, as the rounds of alerts find out."""
    await change(engine, "UPDATE pipeline SET judged_until = :at", at=at)


async def states(engine: AsyncEngine) -> list[str]:
    """Those of all installations, by their serials."""
    found = await rows(
        engine,
        "SELECT state FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id"
        " ORDER BY meter_serial",
    )
    return [state for (state,) in found]


async def told(engine: AsyncEngine) -> list[str]:
    """The types of all events, in the order in which they were made."""
    return [kind for (kind,) in await rows(engine, "SELECT event_type FROM delivery ORDER BY position")]
