"""What ingest remembers of the registry is never older than the registry."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.operations import Memory, StoredBatch, store
from shared.models import Gateway, MeterInstallation
from tests.support.registry import Building, add_meter, create_building

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(building: Building, serial: str, at: datetime, *, gateway_id: str | None = None) -> GatewayDelivery:
    body = f'{{"meter_serial": "{serial}", "timestamp": "{at.isoformat()}", "value": 1}}'
    return GatewayDelivery(gateway_id or building.gateway_id, body.encode(), NOON, may_correct=True)


def became(batch: StoredBatch) -> tuple[int, int]:
    """How many were stored, and how many quarantined."""
    return batch.merged.stored, batch.quarantined


async def test_what_has_changed_since_is_seen_by_the_next_batch(engine: AsyncEngine) -> None:
    building, memory = await create_building(engine, meters=1), Memory()

    async def write(serial: str, hours: int, *, gateway_id: str | None = None) -> tuple[int, int]:
        delivery = sent(building, serial, NOON + timedelta(hours=hours), gateway_id=gateway_id)
        return became(await store(engine, [delivery], memory, lambda: NOON + timedelta(days=1)))

    assert await write("70000000", 0) == (1, 0)
    assert await write("70000001", 0) == (0, 1)
    await add_meter(engine, building, "70000001")
    assert await write("70000001", 1) == (1, 0)
    async with engine.begin() as connection:
        # The serial goes over to another meter at noon, two hours ago for the readings that follow.
        await connection.execute(
            update(MeterInstallation).where(MeterInstallation.meter_serial == "70000000").values(deleted_at=NOON)
        )
    assert await write("70000000", 2) == (0, 1)
    successor = await add_meter(engine, building, "70000000", installed_at=NOON)
    assert await write("70000000", 3) == (1, 0)
    async with engine.connect() as connection:
        newest = await connection.scalar(
            text("SELECT meter_installation_id FROM reading ORDER BY timestamp DESC LIMIT 1")
        )
    assert newest == successor
    async with engine.begin() as connection:
        await connection.execute(update(Gateway).values(deleted_at=NOON))
    assert await write("70000000", 4) == (0, 1)


async def test_a_change_counts_from_its_commit_on_and_one_transaction_makes_one_version(engine: AsyncEngine) -> None:
    await create_building(engine)
    version = text("SELECT version FROM registry_version")
    async with engine.connect() as reader, engine.connect() as writer:
        before = await reader.scalar(version)
        await writer.execute(update(MeterInstallation).values(value_field="total_kwh"))
        await writer.execute(update(Gateway).values(name="In the attic"))
        await reader.rollback()
        assert await reader.scalar(version) == before
        await writer.commit()
        await reader.rollback()
        assert await reader.scalar(version) != before


async def test_two_installations_of_tenants_with_the_same_serial_are_kept_apart(engine: AsyncEngine) -> None:
    one, other = await create_building(engine, meters=1), await create_building(engine, meters=1)
    memory = Memory()
    batch = [sent(one, "70000000", NOON), sent(other, "70000000", NOON)]
    assert became(await store(engine, batch, memory, lambda: NOON)) == (2, 0)
    assert became(await store(engine, batch, memory, lambda: NOON)) == (0, 0)
    async with engine.connect() as connection:
        stored = set(await connection.scalars(text("SELECT meter_installation_id FROM reading")))
    assert stored == {*one.installation_ids, *other.installation_ids}
