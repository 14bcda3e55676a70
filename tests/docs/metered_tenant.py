"""The tenant of the chapter on consumption in docs/api.md: in its house counters fall, stop and are exchanged."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database import create_sessions
from shared.models import MeterInstallation, Property, PropertyConfig, Tenant, Unit
from tests.docs.sample_tenant import id_of

METERED_TENANT_ID = id_of("metered tenant")
HOUSE = "Lærkevej 5"
INSTALLED_AT = datetime(2025, 6, 2, 8, tzinfo=UTC)
EXCHANGED_AT = datetime.fromisoformat("2026-01-07T10:00:00+01:00")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Shown = Sequence[tuple[str, float]]


async def create_metered_tenant(engine: AsyncEngine) -> None:
    """One house with one flat. What is read at a midnight is a day's sum without a fraction."""
    async with create_sessions(engine).begin() as session:
        session.add(Tenant(id=METERED_TENANT_ID, slug="metered", name="Metered"))
        await session.flush()
        session.add(Property(id=id_of(HOUSE), tenant_id=METERED_TENANT_ID, name=HOUSE, address=f"{HOUSE}, 8000 Aarhus"))
        await session.flush()
        session.add(PropertyConfig(property_id=id_of(HOUSE)))
        session.add(Unit(id=id_of(f"{HOUSE}, st."), property_id=id_of(HOUSE), label="st."))
        await session.flush()
        await _mount(session, "81000001", "heat", "kWh", _midnights("2026-01-05", 4210, 4228, 4245), until=EXCHANGED_AT)
        newer = [("2026-01-07T12:00+01:00", 0.5), *_midnights("2026-01-08", 7.5, 26, 41)]
        await _mount(session, "81000002", "heat", "kWh", newer, since=EXCHANGED_AT, replaces="81000001")
        await _mount(
            session, "81000003", "cold_water", "m3", _midnights("2026-01-05", 120.4, 120.9, 0.1, 0.5, 0.8, 1.4)
        )
        silent = [*_midnights("2026-01-05", 900, 912), *_midnights("2026-01-09", 948, 960)]
        await _mount(session, "81000004", "electricity", "kWh", silent)
        await _mount(session, "81000005", "heat_cost_allocator", "hca", _midnights("2025-12-30", 1830, 1834, 3, 7))
        night = datetime.fromisoformat("2026-10-25T00:00+02:00").astimezone(UTC)
        hourly = [((night + hour * HOUR).isoformat(), 7000 + hour / 2) for hour in range(26)]
        await _mount(session, "81000006", "cooling", "kWh", hourly)


def _midnights(first: str, *values: float) -> Shown:
    """Of winter days, one after the other."""
    start = datetime.fromisoformat(f"{first}T00:00+01:00")
    return [((start + number * DAY).isoformat(), value) for number, value in enumerate(values)]


async def _mount(
    session: AsyncSession,
    serial: str,
    medium: str,
    unit_of_measure: str,
    shown: Shown,
    *,
    since: datetime = INSTALLED_AT,
    until: datetime | None = None,
    replaces: str | None = None,
) -> None:
    session.add(
        MeterInstallation(
            id=id_of(serial),
            tenant_id=METERED_TENANT_ID,
            unit_id=id_of(f"{HOUSE}, st."),
            meter_serial=serial,
            medium=medium,
            unit_of_measure=unit_of_measure,
            installed_at=since,
            deleted_at=until,
            replaces_id=_id_of(replaces),
        )
    )
    await session.flush()
    for time, value in shown:
        at = datetime.fromisoformat(time)
        await session.execute(
            text("INSERT INTO reading VALUES (:id, :at, :value, :at, -70, 96)"),
            {"id": id_of(serial), "at": at, "value": value},
        )


def _id_of(serial: str | None) -> UUID | None:
    return None if serial is None else id_of(serial)
