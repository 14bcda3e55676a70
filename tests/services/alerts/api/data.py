"""Alerts as the sweep would have written them, for tests of what callers see of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.models import Alert, Delivery
from tests.support.registry import Building, add_meter, create_building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def add_alert(
    engine: AsyncEngine,
    building: Building,
    *,
    installation_id: UUID | None = None,
    opened_at: datetime = NOON,
    closed_at: datetime | None = None,
    **more: Any,
) -> UUID:
    """An alert of the installation, else of the building's gateway, open unless it was closed."""
    subject: Mapping[str, object] = (
        {"type": "gateway.silent", "gateway_id": building.gateway_id}
        if installation_id is None
        else {"type": "installation.stale", "installation_id": installation_id}
    )
    alert_id = uuid4()
    alert = {
        "id": alert_id,
        "tenant_id": building.tenant_id,
        "since": opened_at - timedelta(days=2),
        "opened_at": opened_at,
        "opened_because": "silence",
        "closed_at": closed_at,
        "closed_because": None if closed_at is None else "heard",
        **subject,
        **more,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Alert), [alert])
    return alert_id


async def add_delivery(
    engine: AsyncEngine,
    building: Building,
    subscription_id: UUID,
    *,
    event_type: str = "installation.stale",
    created_at: datetime = NOON,
    **more: Any,
) -> UUID:
    """A delivery to the subscription of an event made at that time: pending, unless `more` says that it ended."""
    delivery_id = uuid4()
    delivery = {
        "id": delivery_id,
        "tenant_id": building.tenant_id,
        "subscription_id": subscription_id,
        "event_type": event_type,
        "event": {"id": str(uuid4()), "type": event_type},
        "created_at": created_at,
        "wanted_since": created_at,
        "next_attempt_at": created_at,
        **more,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Delivery), [delivery])
    return delivery_id


async def set_last_reading(engine: AsyncEngine, installation_id: UUID, at: datetime, *, state: str) -> None:
    """What alerts would have written of a reading with the value 1.5."""
    statement = text(
        "UPDATE installation_status SET state = :state, last_reading_at = :at, last_value = 1.5, last_rssi_dbm = -70,"
        " last_battery_level_pct = 96 WHERE installation_id = :id"
    )
    async with engine.begin() as connection:
        await connection.execute(statement, {"id": installation_id, "at": at, "state": state})


async def building_beside(engine: AsyncEngine, building: Building) -> Building:
    """Another one of the same tenant, with one meter."""
    beside = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_meter(engine, beside, uuid4().hex[:8])
    return beside
