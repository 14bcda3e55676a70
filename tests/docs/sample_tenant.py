"""The tenant of docs/api.md: the same ids, times and values whenever it is made."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.clock import utc_now
from shared.database import create_sessions
from shared.models import (
    Alert,
    Delivery,
    Gateway,
    MeterInstallation,
    Property,
    PropertyConfig,
    Subscription,
    Tenant,
    Unit,
)

INSTALLED_AT = datetime(2025, 3, 17, 9, tzinfo=UTC)
MOUNTED_LAST_AT = datetime(2026, 10, 31, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 1, 6, 5, tzinfo=UTC)
"""When the guide's calls are made, as it seems."""
HOUR = timedelta(hours=1)


def id_of(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, name)


@dataclass(frozen=True)
class Meter:
    serial: str
    unit: str
    medium: str
    unit_of_measure: str
    last_value: float
    silent_for: timedelta | None
    """Since its last reading; None if it was never heard."""


TENANT_ID = id_of("tenant")
BUILDINGS = {"Havnegade 12": ("1. tv", "1. th"), "Skovvej 3": ("Hall",)}
METERS = (
    Meter("71440145", "1. tv", "heat", "kWh", 1235.75, 0 * HOUR),
    Meter("71440146", "1. tv", "cold_water", "m3", 89.375, 0 * HOUR),
    Meter("71440147", "1. th", "heat", "kWh", 908.5, 77 * HOUR),
    Meter("71440148", "1. th", "cold_water", "m3", 0, None),
    Meter("2124589c", "Hall", "electricity", "kWh", 20542.75, 1 * HOUR),
)


async def create_sample_tenant(engine: AsyncEngine) -> None:
    """Two buildings with five meters. Each that is heard has seven hourly readings."""
    async with create_sessions(engine).begin() as session:
        session.add(Tenant(id=TENANT_ID, slug="sample", name="Sample"))
        await session.flush()
        for number, (name, units) in enumerate(BUILDINGS.items(), start=1):
            await _add_building(session, f"GW-000{number}", name, units)
        for meter in METERS:
            await _add_meter(session, meter)
        # Their readings are in no batch: the feed tells them as those from before there were any.
        await session.execute(
            text(
                "INSERT INTO change_batch (tenant_id, position, batch, rows, stored_before, earliest, latest)"
                " VALUES (:tenant, 1, 0, 0, 0, '-infinity', 'infinity')"
            ),
            {"tenant": TENANT_ID},
        )


async def _add_building(session: AsyncSession, gateway_id: str, name: str, units: tuple[str, ...]) -> None:
    session.add(Property(id=id_of(name), tenant_id=TENANT_ID, name=name, address=f"{name}, 8000 Aarhus C"))
    session.add(Gateway(id=gateway_id, tenant_id=TENANT_ID, name="In the cellar"))
    await session.flush()
    session.add(PropertyConfig(property_id=id_of(name)))
    session.add_all([Unit(id=id_of(unit), property_id=id_of(name), label=unit) for unit in units])
    await session.flush()


async def _add_meter(session: AsyncSession, meter: Meter) -> None:
    installation_id = id_of(meter.serial)
    session.add(
        MeterInstallation(
            id=installation_id,
            tenant_id=TENANT_ID,
            unit_id=id_of(meter.unit),
            gateway_id="GW-0002" if meter.unit == "Hall" else "GW-0001",
            meter_serial=meter.serial,
            medium=meter.medium,
            unit_of_measure=meter.unit_of_measure,
            installed_at=INSTALLED_AT if meter.silent_for is not None else MOUNTED_LAST_AT,
        )
    )
    await session.flush()
    if meter.silent_for is None:
        await _set_status(session, installation_id, state="never_seen", since=MOUNTED_LAST_AT)
        return
    newest = NOW.replace(minute=0) - meter.silent_for
    for hours in range(7):
        at = newest - hours * HOUR
        await session.execute(
            text("INSERT INTO reading VALUES (:id, :at, :value, :received, :rssi, :battery)"),
            {
                "id": installation_id,
                "at": at,
                "value": meter.last_value - hours / 4,
                "rssi": -73 + hours % 3,
                "battery": 96 if meter.medium != "electricity" else None,
                "received": at + timedelta(seconds=12),
            },
        )
    stale = meter.silent_for > 48 * HOUR
    await _set_status(
        session,
        installation_id,
        state="stale" if stale else "fresh",
        since=newest + 48 * HOUR if stale else INSTALLED_AT + HOUR,
    )


async def _set_status(session: AsyncSession, installation_id: UUID, *, state: str, since: datetime) -> None:
    """What alerts would have written."""
    await session.execute(
        text(
            "UPDATE installation_status s SET state = :state, state_since = :since, last_reading_at = r.timestamp,"
            " last_value = r.value, last_rssi_dbm = r.rssi_dbm, last_battery_level_pct = r.battery_level_pct"
            " FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT * FROM reading WHERE meter_installation_id = :id"
            " ORDER BY timestamp DESC LIMIT 1) r ON true WHERE s.installation_id = :id"
        ),
        {"id": installation_id, "state": state, "since": since},
    )


async def create_sample_alerts(engine: AsyncEngine) -> None:
    """The silent meter's alert, and that of a gateway which is back, of which a subscription could not be told."""
    newest = NOW.replace(minute=0) - 77 * HOUR
    stale: dict[str, object] = {
        "type": "installation.stale",
        "installation_id": id_of("71440147"),
        "since": newest,
        "last_reading_at": newest,
        "opened_at": newest + 48 * HOUR,
    }
    silent: dict[str, object] = {
        "type": "gateway.silent",
        "gateway_id": "GW-0002",
        "since": NOW - 400 * HOUR,
        "opened_at": NOW - 364 * HOUR,
        "closed_at": NOW - 360 * HOUR,
        "closed_because": "heard",
    }
    async with create_sessions(engine).begin() as session:
        for alert in (stale, silent):
            what = {"id": id_of(f"alert {alert['type']}"), "tenant_id": TENANT_ID, "opened_because": "silence"}
            session.add(Alert(**what, **alert))
        await session.flush()
        await session.execute(
            text(
                "UPDATE installation_status s SET alert_id = a.id FROM alert a"
                " WHERE a.installation_id = s.installation_id"
            )
        )
    await _add_delivery(engine, "gateway.silent", made_at=NOW - 364 * HOUR)


async def _add_delivery(engine: AsyncEngine, event_type: str, *, made_at: datetime) -> None:
    """It was given up a moment ago: what ended long ago is not kept."""
    hook = id_of("subscription ERP")
    async with create_sessions(engine).begin() as session:
        session.add(Subscription(id=hook, tenant_id=TENANT_ID, name="ERP", url="https://erp.example.com/alerts"))
        await session.flush()
        session.add(
            Delivery(
                id=id_of(f"delivery {event_type}"),
                alert_id=id_of(f"alert {event_type}"),
                tenant_id=TENANT_ID,
                subscription_id=hook,
                event_type=event_type,
                event={"id": str(id_of(f"event {event_type}")), "type": event_type},
                created_at=made_at,
                wanted_since=made_at,
                attempts=15,
                last_attempt_at=utc_now(),
                last_status=503,
                last_error="the answer was 503",
                dropped_at=utc_now(),
                dropped_because="gave_up",
            )
        )
