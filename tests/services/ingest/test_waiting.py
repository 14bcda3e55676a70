"""What is found ready for a replay is what ingest would take, whatever the registry holds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.judging import Quarantined
from services.ingest.payload import SentReading
from services.ingest.quarantine import keep
from services.ingest.queries import learn_gateways, learn_installations
from services.ingest.reasons import Reason, Refused
from services.ingest.registry import Registry
from services.ingest.verdicts import Sender, judge
from services.ingest.waiting import BEGINNING, find_ready
from shared.models import Gateway, MeterInstallation, QuarantinedReading
from shared.topology import GatewayFormat
from tests.support.registry import Building, add_meter, create_building

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SERIALS = ["1", "2"]
"""Each example needs only a few: what is decided is decided a serial."""

days = st.integers(0, 12)
spans = st.lists(st.tuples(st.sampled_from(SERIALS), days, st.none() | days), max_size=5)
"""Installations: a serial, the day on which one began, and after how many days it ended."""


def times() -> list[datetime]:
    """Every half day around all installations."""
    return [NOW - timedelta(days=30) + timedelta(hours=12 * n, minutes=30) for n in range(60)]


def installations(spans: list[tuple[str, int, int | None]], building: Building) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for serial, begins, lasts in spans:
        begun = NOW - timedelta(days=25 - begins)
        # Only one of a serial is there at a time.
        is_taken = any(one["meter_serial"] == serial and one["deleted_at"] is None for one in made)
        ends = 0 if lasts is None and is_taken else lasts
        made.append(
            {
                "id": uuid4(),
                "tenant_id": building.tenant_id,
                "unit_id": building.unit_id,
                "meter_serial": serial,
                "medium": "heat",
                "unit_of_measure": "kWh",
                "installed_at": begun,
                "deleted_at": None if ends is None else begun + timedelta(days=ends),
            }
        )
    return made


async def refused_now(
    connection: AsyncConnection, building: Building, readings: list[SentReading]
) -> list[tuple[SentReading, Refused | None]]:
    registry, sender = Registry(), Sender(delivery(building), None)
    await learn_gateways(connection, registry, [building.gateway_id])
    written_ids = [one.installation_id for one in readings if one.installation_id is not None]
    serials = [(building.tenant_id, serial) for serial in SERIALS]
    await learn_installations(connection, registry, written_ids=written_ids, serials=serials)
    verdicts = [judge(reading, sender, registry=registry, now=NOW) for reading in readings]
    return [(sent, it if isinstance(it, Refused) else None) for sent, it in zip(readings, verdicts, strict=True)]


def delivery(building: Building, content: GatewayFormat = GatewayFormat.READINGS) -> GatewayDelivery:
    return GatewayDelivery(building.gateway_id, b"", NOW, may_correct=True, format=content)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=spans, after=spans, ended_days_ago=st.none() | days)
async def test_ready_is_what_would_be_stored_now(
    engine: AsyncEngine,
    before: list[tuple[str, int, int | None]],
    after: list[tuple[str, int, int | None]],
    ended_days_ago: int | None,
) -> None:
    building = await create_building(engine, meters=0)
    async with engine.connect() as connection:
        first, second = installations(before, building), installations(after, building)
        if first:
            await connection.execute(insert(MeterInstallation), first)
        known: list[UUID] = [one["id"] for one in (*first, *second)]  # type: ignore[misc] # a row's cells are objects
        readings = [SentReading(at.isoformat(), 1.0, meter_serial=serial) for serial in SERIALS for at in times()]
        readings += [SentReading(at.isoformat(), 1.0, installation_id=str(id_)) for id_ in known for at in times()]
        refused = [(sent, it) for sent, it in await refused_now(connection, building, readings) if it is not None]
        await keep(connection, (as_kept(building, str(n), it) for n, (_, it) in enumerate(refused)))
        # Then the registry changes: all that was there is ended, others come, the gateway goes out of use perhaps.
        await connection.execute(text("UPDATE meter_installation SET deleted_at = coalesce(deleted_at, installed_at)"))
        if second:
            await connection.execute(insert(MeterInstallation), second)
        if ended_days_ago is not None:
            disabled = update(Gateway).values(deleted_at=NOW - timedelta(days=ended_days_ago))
            await connection.execute(disabled.where(Gateway.id == building.gateway_id))
        still = await refused_now(connection, building, [sent for sent, _ in refused])
        expected = {str(n) for n, (_, it) in enumerate(still) if it is None}
        step = await find_ready(connection, BEGINNING, NOW)
        found = await connection.execute(
            text("SELECT convert_from(original, 'utf-8') FROM quarantined_reading WHERE id = ANY (:ids)"),
            {"ids": step.found},
        )
        assert set(found.scalars()) == expected
        await connection.execute(delete(QuarantinedReading))
        await connection.rollback()


def as_kept(
    building: Building, original: str, verdict: Refused, content: GatewayFormat = GatewayFormat.READINGS
) -> Quarantined:
    return Quarantined(delivery(building, content), verdict, original)


async def test_what_waits_for_nothing_that_can_be_registered_is_never_found(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    async with engine.connect() as connection:
        verdicts = [
            Refused(Reason.INVALID_VALUE, ""),
            Refused(Reason.UNKNOWN_INSTALLATION, "", awaits="nobody's", timestamp=NOW),
            Refused(Reason.UNKNOWN_INSTALLATION, "", awaits=str(uuid4()), timestamp=NOW),
            Refused(Reason.UNKNOWN_INSTALLATION, "", awaits=building.gateway_id, timestamp=NOW),
        ]
        await keep(connection, (as_kept(building, str(n), verdict) for n, verdict in enumerate(verdicts)))
        assert (await find_ready(connection, BEGINNING, NOW)).found == []


async def test_a_gateway_or_an_installation_of_somebody_else_is_not_what_was_waited_for(engine: AsyncEngine) -> None:
    here, there = await create_building(engine, meters=0), await create_building(engine, meters=1)
    async with engine.connect() as connection:
        for awaits in (*there.meters, *map(str, there.installation_ids)):
            await keep(
                connection,
                [as_kept(here, awaits, Refused(Reason.UNKNOWN_INSTALLATION, "", awaits=awaits, timestamp=NOW))],
            )
        await connection.execute(
            text("UPDATE gateway SET deleted_at = :at WHERE id = :id"), {"id": there.gateway_id, "at": NOW}
        )
        gone = Refused(Reason.UNKNOWN_GATEWAY, "", awaits=there.gateway_id, timestamp=NOW + timedelta(hours=2))
        await keep(connection, [as_kept(there, "x", gone)])
        assert (await find_ready(connection, BEGINNING, NOW)).found == []


async def test_the_serial_of_a_telegram_is_found_in_the_spellings_in_which_telegrams_are(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=0)
    for serial in ("2124589C", "abcd", "ABCD"):
        await add_meter(engine, building, serial)
    async with engine.connect() as connection:
        for awaits in ("2124589c", "2124589C", "Abcd", "abcd", "2124"):
            for content in GatewayFormat:
                refused = Refused(Reason.UNKNOWN_INSTALLATION, "", awaits=awaits, timestamp=NOW)
                await keep(connection, [as_kept(building, f"{awaits} {content}", refused, content)])
        step = await find_ready(connection, BEGINNING, NOW)
        found = await connection.execute(
            text("SELECT convert_from(original, 'utf-8') FROM quarantined_reading WHERE id = ANY (:ids)"),
            {"ids": step.found},
        )
    assert set(found.scalars()) == {
        "2124589c wmbus",
        "2124589C wmbus",
        "Abcd wmbus",
        "abcd wmbus",
        "2124589C readings",
        "abcd readings",
    }
