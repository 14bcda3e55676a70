"""Makes deliveries as transitions do, of alerts that these tests open and close."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.telling import tell_subscriptions
from shared.messages.alert_events import SOURCE, GatewayAlert, InstallationAlert
from shared.messages.cloudevents import CloudEvent
from tests.services.alerts.standing import change, rows
from tests.support.messages import eventually
from tests.support.registry import Building

SINCE = datetime(2026, 11, 20, 12, tzinfo=UTC)

STANDING = "SELECT enabled, disabled_because, failures, failing_since IS NOT NULL FROM subscription WHERE id = :id"
"""How a subscription stands: whether it is enabled, and what has failed."""

OPEN = """
    INSERT INTO alert (id, tenant_id, type, installation_id, gateway_id, since, opened_at, opened_because)
    VALUES (:id, :tenant, CASE WHEN cast(:gateway AS text) IS NULL THEN 'installation.stale' ELSE 'gateway.silent' END,
            cast(:installation AS uuid), cast(:gateway AS text), :since, now(), 'silence')
"""

TEST = """
    INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, wanted_since, next_attempt_at)
    VALUES (gen_random_uuid(), :tenant, :id, 'subscription.test', '{"type": "subscription.test"}', now(), now())
"""
"""A delivery that nobody makes by an alert."""


async def open_alert(
    engine: AsyncEngine, building: Building, installation_id: UUID | None = None, *, gateway_id: str | None = None
) -> UUID:
    """An alert of a meter, or of the gateway; of none of them nobody is told by this."""
    alert_id = uuid4()
    await change(
        engine,
        OPEN,
        id=alert_id,
        tenant=building.tenant_id,
        installation=installation_id,
        gateway=gateway_id,
        since=SINCE,
    )
    return alert_id


async def close_alert(engine: AsyncEngine, alert_id: UUID) -> None:
    await change(engine, "UPDATE alert SET closed_at = now(), closed_because = 'heard' WHERE id = :id", id=alert_id)


async def tell(
    engine: AsyncEngine,
    building: Building,
    kind: str,
    alert_id: UUID,
    installation_id: UUID | None = None,
    *,
    property_id: UUID | None = None,
) -> str:
    """Make the deliveries of one event, and return the event's id: of that meter, else of the gateway."""
    return (await tell_all(engine, building, [(kind, alert_id, installation_id)], property_id=property_id))[0]


async def tell_all(
    engine: AsyncEngine,
    building: Building,
    told: Sequence[tuple[str, UUID, UUID | None]],
    *,
    property_id: UUID | None = None,
) -> list[str]:
    """The same for several in one transaction."""
    events = [
        CloudEvent(
            id=str(uuid4()),
            source=SOURCE,
            type=kind,
            time=datetime.now(UTC),
            data=_of_gateway(building, alert_id)
            if installation_id is None
            else _of_meter(building, alert_id, installation_id, property_id or building.property_id),
        )
        for kind, alert_id, installation_id in told
    ]
    async with engine.begin() as connection:
        await tell_subscriptions(connection, events)  # type: ignore[arg-type]
    return [event.id for event in events]


async def deliveries(engine: AsyncEngine, subscription_id: UUID) -> list[tuple[str, str]]:
    """The type and the state of each, in the order in which they were made."""
    found = await rows(
        engine,
        "SELECT event_type, CASE WHEN delivered_at IS NOT NULL THEN 'delivered' ELSE coalesce(dropped_because, 'waits')"
        " END FROM delivery WHERE subscription_id = :id ORDER BY position",
        id=subscription_id,
    )
    return [(kind, state) for kind, state in found]


async def ended(engine: AsyncEngine, subscription_id: UUID) -> None:
    """Wait until nothing is to be sent any more."""

    async def nothing_waits() -> bool:
        return "waits" not in {state for _, state in await deliveries(engine, subscription_id)}

    await eventually(nothing_waits)


async def failed(engine: AsyncEngine, subscription_id: UUID, times: int) -> None:
    """Wait until it has failed so often in a row."""

    async def so_often() -> bool:
        return await rows(engine, "SELECT failures FROM subscription WHERE id = :id", id=subscription_id) == [(times,)]

    await eventually(so_often)


async def set_clock_forward(engine: AsyncEngine, by: str, *, of: UUID | None = None) -> None:
    """Let everything that waits have been there for so much longer, as an interval: `6 days`."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"UPDATE delivery SET next_attempt_at = next_attempt_at - interval '{by}',"
                f" wanted_since = wanted_since - interval '{by}'"
                " WHERE subscription_id IS NOT NULL AND delivered_at IS NULL AND dropped_at IS NULL"
                " AND (cast(:of AS uuid) IS NULL OR subscription_id = :of)"
            ),
            {"of": of},
        )
        await connection.execute(
            text(
                f"UPDATE subscription SET held_until = held_until - interval '{by}',"
                f" failing_since = failing_since - interval '{by}', claimed_until = claimed_until - interval '{by}'"
                " WHERE cast(:of AS uuid) IS NULL OR id = :of"
            ),
            {"of": of},
        )


def _of_meter(building: Building, alert_id: UUID, installation_id: UUID, property_id: UUID) -> InstallationAlert:
    return InstallationAlert(
        alert_id=alert_id,
        tenant_id=building.tenant_id,
        installation_id=installation_id,
        meter_serial="70000000",
        medium="heat",
        unit_of_measure="kWh",
        property_id=property_id,
        property_name=building.property_name,
        address="Testvej 1, 8000 Aarhus",
        unit_label="1. tv",
        gateway_id=building.gateway_id,
        since=SINCE,
        silent_since=SINCE,
        last_reading=None,
    )


def _of_gateway(building: Building, alert_id: UUID) -> GatewayAlert:
    return GatewayAlert(
        alert_id=alert_id,
        tenant_id=building.tenant_id,
        gateway_id=building.gateway_id,
        gateway_name="In the cellar",
        installations=3,
        properties=1,
        addresses=["Testvej 1, 8000 Aarhus"],
        since=SINCE,
        silent_since=SINCE,
        last_heard_at=SINCE,
    )
