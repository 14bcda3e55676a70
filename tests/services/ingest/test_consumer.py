"""Messages through a real broker into a real database: stored, quarantined, corrected, dead-lettered."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.messages.readings_stored import decode
from tests.support.messages import eventually, next_message, publish_as_gateway, queue_length
from tests.support.registry import Building, add_meter, create_building
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.usefixtures("ingest")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def rows(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def settled(vhost: Vhost, engine: AsyncEngine, *, readings: int = 0, quarantined: int = 0) -> None:
    """Wait until so many rows are there and every message is acknowledged."""

    async def is_so() -> bool:
        counts = await rows(engine, "SELECT (SELECT count(*) FROM reading), (SELECT count(*) FROM quarantined_reading)")
        return counts == [(readings, quarantined)]

    async def is_empty() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) == 0

    await eventually(is_so)
    await eventually(is_empty)


def reading(building: Building, number: int = 0, *, at: datetime = NOON, **more: object) -> dict[str, object]:
    return {
        "installation_id": str(building.installation_ids[number]),
        "timestamp": at.isoformat(),
        "value": 12.5,
    } | more


async def test_a_batch_is_stored_and_told_with_the_newest_reading_of_each_installation(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=2)
    batch = {
        "gateway_id": building.gateway_id,
        "sent_at": NOON.isoformat(),
        "readings": [
            reading(building, 0, rssi_dbm=-71, battery_level_pct=96),
            reading(building, 0, at=NOON - timedelta(hours=1), value=12.25, battery_level_pct=0),
            {"meter_serial": "70000001", "timestamp": "2026-03-01T13:00:00+01:00", "value": 3},
        ],
    }
    await publish_as_gateway(vhost.url, building.gateway_id, batch)
    await settled(vhost, engine, readings=3)
    first, second = building.installation_ids
    columns = "meter_installation_id, timestamp, value, rssi_dbm, battery_level_pct"
    assert set(await rows(engine, f"SELECT {columns} FROM reading")) == {
        (first, NOON, 12.5, -71, 96),
        (first, NOON - timedelta(hours=1), 12.25, None, 0),
        (second, NOON, 3.0, None, None),
    }
    message = await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    event = decode(message.body)
    assert message.routing_key == f"readings.stored.{building.tenant_id}"
    assert event.data.gateways == [building.gateway_id]
    heard = {item.installation_id: (item.timestamp, item.value, item.count) for item in event.data.installations}
    assert heard == {first: (NOON, 12.5, 2), second: (NOON, 3.0, 1)}


@pytest.mark.parametrize("shape", ["one object", "a list"])
async def test_one_reading_and_a_list_of_readings_are_messages_too(
    engine: AsyncEngine, vhost: Vhost, shape: str
) -> None:
    building = await create_building(engine)
    body = reading(building) if shape == "one object" else [reading(building)]
    await publish_as_gateway(vhost.url, building.gateway_id, body)
    await settled(vhost, engine, readings=1)


async def test_the_same_batch_again_stores_nothing_and_is_told_again(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine)
    batch = {"readings": [reading(building, number) for number in range(3)]}
    for _ in range(2):
        await publish_as_gateway(vhost.url, building.gateway_id, batch)
        await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    assert await rows(engine, "SELECT count(*) FROM reading") == [(3,)]
    assert await rows(engine, "SELECT count(*) FROM reading_correction") == [(0,)]


async def test_a_later_transmission_with_another_value_corrects_and_the_old_value_is_kept(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine)
    for value in (12.5, 13.5):
        await publish_as_gateway(vhost.url, building.gateway_id, reading(building, value=value))
        await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
    assert await rows(engine, "SELECT value FROM reading") == [(13.5,)]
    assert await rows(engine, "SELECT old_value, new_value FROM reading_correction") == [(12.5, 13.5)]


async def test_bad_readings_go_to_quarantine_and_the_good_ones_in_the_message_are_stored(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine)
    stranger = await create_building(engine)
    id_, foreign = building.installation_ids[0], stranger.installation_ids[0]
    bad = {
        "not_an_object": "7",
        "invalid_value": f'{{"installation_id": "{id_}", "timestamp": "2026-03-01T12:00:00Z", "value": NaN}}',
        "invalid_timestamp": f'{{"installation_id": "{id_}", "timestamp": "2026-13-01T12:00:00Z", "value": 1}}',
        "naive_timestamp": f'{{"installation_id": "{id_}", "timestamp": "2026-03-01T12:00:00", "value": 1}}',
        "foreign_installation": (
            f'{{"installation_id": "{foreign}", "timestamp": "2026-03-01T12:00:00Z", "value": 1.10}}'
        ),
        "unknown_installation": '{"meter_serial": "a\\u0000b", "timestamp": "2026-03-01T12:00:00Z", "value": 1}',
        "in_the_future": f'{{"installation_id": "{id_}", "timestamp": "9999-12-31T23:59:59-12:00", "value": 1}}',
        "before_installation": f'{{"installation_id": "{id_}", "timestamp": "0001-01-01T00:00:00+12:00", "value": 1}}',
        "invalid_rssi": (
            f'{{"installation_id": "{id_}", "timestamp": "2026-03-01T12:00:00Z", "value": 1, "rssi_dbm": "x"}}'
        ),
    }
    good = json.dumps(reading(building))
    body = f'{{"readings": [{", ".join([good, *bad.values()])}]}}'.encode()
    await publish_as_gateway(vhost.url, building.gateway_id, body)
    await settled(vhost, engine, readings=1, quarantined=len(bad))
    kept = await rows(engine, "SELECT reason, convert_from(original, 'utf-8') FROM quarantined_reading")
    assert {str(reason): original for reason, original in kept} == bad


async def test_the_same_refused_reading_again_only_raises_its_count(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine)
    body = reading(building, installation_id="00000000-0000-0000-0000-000000000000")
    for _ in range(3):
        await publish_as_gateway(vhost.url, building.gateway_id, [body, body])
    await eventually(lambda: _count_is(engine, 6))
    assert len(await rows(engine, "SELECT id FROM quarantined_reading")) == 1


async def _count_is(engine: AsyncEngine, count: int) -> bool:
    return await rows(engine, "SELECT sum(seen_count) FROM quarantined_reading") == [(count,)]


async def test_an_unknown_gateway_and_one_that_claims_to_be_another_go_to_quarantine(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine)
    await publish_as_gateway(vhost.url, "GW-nobody", reading(building))
    await publish_as_gateway(vhost.url, building.gateway_id, {"gateway_id": "GW-x", "readings": [reading(building)]})
    await settled(vhost, engine, quarantined=2)
    assert set(await rows(engine, "SELECT gateway_id, reason FROM quarantined_reading")) == {
        ("GW-nobody", "unknown_gateway"),
        (building.gateway_id, "gateway_mismatch"),
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"hello", "not JSON"),
        (b"17", "neither an object nor a list"),
        (b'"text"', "neither an object nor a list"),
        (b'{"readings": 3}', "no list"),
        (b'{"readings": [\xff\xfe]}', "not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"[" + b" " * (4 * 1024 * 1024) + b"]", "more than 4194304"),
        (b"", "not JSON"),
    ],
    ids=["text", "number", "string", "readings is a number", "not utf-8", "too deep", "too large", "empty"],
)
async def test_what_is_no_message_becomes_a_dead_letter_with_the_reason_and_the_worker_lives(
    engine: AsyncEngine, vhost: Vhost, body: bytes, reason: str
) -> None:
    building = await create_building(engine)
    await publish_as_gateway(vhost.url, building.gateway_id, body)
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert letter.body == body
    assert letter.routing_key == topology.gateway_readings_key(building.gateway_id)
    assert reason in str(letter.headers["x-mbus-reason"])
    await publish_as_gateway(vhost.url, building.gateway_id, reading(building))
    await settled(vhost, engine, readings=1)


async def test_a_routing_key_that_is_no_gateway_id_becomes_a_dead_letter(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine)
    await publish_as_gateway(vhost.url, "", reading(building), key="gateways.GW 1\x00.readings")
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert "routing key" in str(letter.headers["x-mbus-reason"])


async def test_readings_go_to_the_installation_that_had_the_serial_at_the_time(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    (old,) = building.installation_ids
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE meter_installation SET deleted_at = :at"), {"at": NOON})
    new = await add_meter(engine, building, "70000000", installed_at=NOON)
    times = [NOON - timedelta(hours=1), NOON, NOON + timedelta(hours=1)]
    batch = [{"meter_serial": "70000000", "timestamp": at.isoformat(), "value": 1.0} for at in times]
    await publish_as_gateway(vhost.url, building.gateway_id, batch)
    await settled(vhost, engine, readings=3)
    stored = await rows(engine, "SELECT timestamp, meter_installation_id FROM reading ORDER BY timestamp")
    assert stored == list(zip(times, [old, new, new], strict=True))


async def test_a_message_that_the_database_refuses_becomes_a_dead_letter_and_its_batch_mates_are_stored(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine)
    async with engine.begin() as connection:
        # No value that passes the verdicts is refused; so the database gets a rule that ingest knows nothing of.
        await connection.execute(text("ALTER TABLE reading ADD CONSTRAINT ck_reading_not_666 CHECK (value <> 666)"))
    bodies = [reading(building, at=NOON + timedelta(hours=n), value=666 if n == 13 else n) for n in range(30)]
    await asyncio.gather(*(publish_as_gateway(vhost.url, building.gateway_id, body) for body in bodies))
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert json.loads(letter.body) == bodies[13]
    assert "cannot be stored" in str(letter.headers["x-mbus-reason"])
    await settled(vhost, engine, readings=29)


async def test_readings_are_stored_once_though_the_databases_connections_keep_breaking(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine)
    breaking = asyncio.create_task(_break_connections(engine))
    for start in range(0, 100, 10):
        batch = [reading(building, at=NOON + timedelta(hours=start + n)) for n in range(10)]
        await publish_as_gateway(vhost.url, building.gateway_id, batch)
    assert await breaking > 0
    await settled(vhost, engine, readings=100)
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0


async def _break_connections(engine: AsyncEngine) -> int:
    """End ingest's database connections again and again for a second; returns how many."""
    broken = 0
    async with engine.connect() as connection:
        for _ in range(20):
            ended = await connection.scalar(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'mbus-ingest'"
                )
            )
            await connection.rollback()
            broken += int(ended or 0)
            await asyncio.sleep(0.05)  # the time between two faults, not a wait for anything
    return broken


async def test_a_sender_cannot_make_itself_look_like_what_takes_workers_down(
    engine: AsyncEngine, vhost: Vhost, capsys: pytest.CaptureFixture[str]
) -> None:
    building = await create_building(engine)
    await publish_as_gateway(vhost.url, building.gateway_id, reading(building), headers={"x-delivery-count": 9})
    await settled(vhost, engine, readings=1)
    assert "suspect_is_written_alone" not in capsys.readouterr().out
