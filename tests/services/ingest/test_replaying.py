"""Registering a gateway or a meter replays what waited for it, with no one asking."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import httpx2
import pytest
from aiormq.exceptions import ChannelAccessRefused
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import waiting
from services.ingest.waiting import BEGINNING, find_ready
from shared import topology
from shared.clock import utc_now
from shared.database import create_sessions, open_engine
from shared.models import Gateway
from shared.transmission import RECEIVED_AT_HEADER
from tests.support.databases import Database
from tests.support.messages import eventually, open_channel, publish_as_gateway
from tests.support.quarantine import quarantined
from tests.support.registry import Building, add_meter, create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def reading(serial: str, at: datetime = NOON, value: float = 1.5, **more: object) -> dict[str, object]:
    return {"meter_serial": serial, "timestamp": at.isoformat(), "value": value} | more


async def values(engine: AsyncEngine) -> list[float]:
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT value FROM reading ORDER BY timestamp, value"))).scalars())


def stored(engine: AsyncEngine, expected: list[float]) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return await values(engine) == expected

    return is_so


def waits(engine: AsyncEngine, reasons: list[str]) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return sorted(row.reason for row in await quarantined(engine, waiting=True)) == sorted(reasons)

    return is_so


async def figure(app: FastAPI, name: str) -> float:
    """A figure of the service's /metrics."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://ingest") as client:
        page = (await client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_registering_a_meter_replays_what_waited_for_it(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost) as app:
        batch = [reading("1", NOON - timedelta(hours=n), value=n) for n in range(3)]
        await publish_as_gateway(vhost.url, building.gateway_id, [*batch, reading("2")])
        await eventually(waits(engine, ["unknown_installation"] * 4))
        await add_meter(engine, building, "1")
        await eventually(stored(engine, [2, 1, 0]))
        await eventually(waits(engine, ["unknown_installation"]))
        assert await figure(app, "mbus_ingest_readings_replayed_total") == 3


async def test_registering_a_gateway_replays_what_it_sent_before(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        await publish_as_gateway(vhost.url, "GW-later", [reading("70000000"), reading("nobody's")])
        await eventually(waits(engine, ["unknown_gateway"] * 2))
        async with create_sessions(engine).begin() as session:
            session.add(Gateway(id="GW-later", tenant_id=building.tenant_id, name="Later"))
        await eventually(stored(engine, [1.5]))
        # What is wrong with the other is another thing now.
        await eventually(waits(engine, ["unknown_installation"]))
    assert [row.seen_count for row in await quarantined(engine)] == [1, 1, 1]


async def test_a_meter_whose_date_of_installation_is_put_right_gets_its_earlier_readings(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1, installed_at=NOON)
    (id_,) = building.installation_ids
    async with running_ingest(database, vhost):
        early = NOON - timedelta(days=30)
        await publish_as_gateway(vhost.url, building.gateway_id, reading("70000000", early))
        await publish_as_gateway(
            vhost.url,
            building.gateway_id,
            {"installation_id": str(id_), "timestamp": early.isoformat(), "value": 1.5, "rssi_dbm": -70},
        )
        await eventually(waits(engine, ["before_installation"] * 2))
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE meter_installation SET installed_at = :at"), {"at": NOON - timedelta(days=40)}
            )
        await eventually(stored(engine, [1.5]))
        await eventually(waits(engine, []))


async def test_what_is_quarantined_while_its_meter_is_being_registered_is_not_left_behind(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost), engine.connect() as blocking:
        # Ingest has judged by a registry without the meter, and now waits to write that down.
        await blocking.execute(text("LOCK TABLE quarantined_reading IN SHARE ROW EXCLUSIVE MODE"))
        await publish_as_gateway(vhost.url, building.gateway_id, reading("1"))
        await eventually(lambda: _somebody_waits(engine))
        await add_meter(engine, building, "1")
        async with engine.begin() as looking:
            assert (await find_ready(looking, BEGINNING, utc_now())).found == []
        await blocking.rollback()
        await eventually(stored(engine, [1.5]))
        await eventually(waits(engine, []))


async def _somebody_waits(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        waiting_for_table = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND database IS NOT NULL")
        return bool(await connection.scalar(waiting_for_table))


async def test_what_comes_back_is_not_sent_round_and_round(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost, replay_interval_s=0.05) as app:
        await publish_as_gateway(vhost.url, building.gateway_id, reading("1"))
        await eventually(waits(engine, ["unknown_installation"]))
        async with engine.begin() as connection:
            # As if the search were wrong about what ingest takes: the row waits for a meter that is there.
            building_with_meter = await create_building(engine, meters=1)
            await connection.execute(
                text("UPDATE quarantined_reading SET awaits = '70000000', gateway_id = :gateway"),
                {"gateway": building_with_meter.gateway_id},
            )
        await eventually(lambda: _came_back(app))
        (row,) = await quarantined(engine)
        assert (row.reason, row.awaits) == ("unknown_installation", "1")
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE quarantined_reading SET awaits = '70000000'"))
            step = await find_ready(connection, BEGINNING, utc_now())
            later = await find_ready(connection, BEGINNING, utc_now() + waiting.ONCE_IN)
            assert (step.found, later.found) == ([], [row.id])
        assert row.seen_count == 1


async def _came_back(app: FastAPI) -> bool:
    replayed = await figure(app, "mbus_ingest_readings_replayed_total")
    return replayed == 1 and await figure(app, 'mbus_ingest_readings_total{verdict="quarantined"}') == 2


async def test_of_two_quarantined_values_the_later_transmission_wins_whichever_is_replayed_last(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    sent = {"1": [10.0, 20.0], "2": [20.0, 10.0], "3": [10.0, 20.0, 10.0]}
    async with running_ingest(database, vhost):
        for serial, in_turn in sent.items():
            for number, value in enumerate(in_turn):
                await publish_as_gateway(vhost.url, building.gateway_id, reading(serial, value=value))
                await eventually(lambda: _seen(engine, serial, number + 1))  # noqa: B023 - awaited at once
        for serial in sent:
            await add_meter(engine, building, serial)
        await eventually(waits(engine, []))

        async def newest_is_there() -> bool:
            async with engine.connect() as connection:
                found = await connection.execute(
                    text(
                        "SELECT meter_serial, value FROM reading JOIN meter_installation i"
                        " ON i.id = meter_installation_id"
                    )
                )
                return {row.meter_serial: row.value for row in found} == {
                    serial: in_turn[-1] for serial, in_turn in sent.items()
                }

        await eventually(newest_is_there)


async def _seen(engine: AsyncEngine, serial: str, count: int) -> bool:
    return sum(row.seen_count for row in await quarantined(engine) if row.awaits == serial) == count


async def test_a_replay_does_not_win_over_what_was_sent_since(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        await publish_as_gateway(vhost.url, building.gateway_id, reading("70000000", value=2.0))
        await eventually(stored(engine, [2.0]))
        earlier = (utc_now() - timedelta(minutes=5)).isoformat()
        old = reading("70000000", value=1.0)
        await publish_as_gateway(vhost.url, building.gateway_id, old, headers={RECEIVED_AT_HEADER: earlier})
        await publish_as_gateway(vhost.url, building.gateway_id, reading("70000000", at=NOON + timedelta(hours=1)))
        await eventually(stored(engine, [2.0, 1.5]))


@pytest.mark.parametrize("nonsense", ["", "now", "2026-03-01T12:00:00", "0001-01-01T00:00:00+12:00", 17, None])
async def test_a_time_of_receipt_that_is_none_is_nobodys(
    engine: AsyncEngine, database: Database, vhost: Vhost, nonsense: Any
) -> None:
    building = await create_building(engine, meters=1)
    started = utc_now()
    async with running_ingest(database, vhost):
        await publish_as_gateway(
            vhost.url, building.gateway_id, reading("70000000"), headers={RECEIVED_AT_HEADER: nonsense}
        )
        await eventually(stored(engine, [1.5]))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT received_at FROM reading")) >= started - timedelta(seconds=1)


async def test_the_walk_goes_in_parts_and_begins_again_after_the_last(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "KEYS_A_STEP", 4)
    building = await create_building(engine, meters=0)
    for number in range(0, 10, 3):
        await add_meter(engine, building, f"{number}")
    await insert(engine, building, [(f"{number}", NOON) for number in range(10) for _ in range(2)])
    after, found = BEGINNING, []
    async with engine.begin() as connection:
        for _ in range(3):
            step = await find_ready(connection, after, utc_now())
            after = step.next
            found.append(len(step.found))
    assert found == [4, 2, 2]
    assert after == BEGINNING


async def insert(engine: AsyncEngine, building: Building, waiting_for: list[tuple[str, datetime]]) -> list[int]:
    """Rows of quarantine that wait for installations; returns their ids."""
    async with engine.begin() as connection:
        found = await connection.execute(
            text(
                "INSERT INTO quarantined_reading (gateway_id, reason, detail, original, awaits, reading_timestamp)"
                " SELECT :gateway, 'unknown_installation', '', int8send(n), awaits, at"
                " FROM unnest(CAST(:awaits AS text[]), CAST(:at AS timestamptz[])) WITH ORDINALITY AS w (awaits, at, n)"
                " RETURNING id"
            ),
            {
                "gateway": building.gateway_id,
                "awaits": [awaits for awaits, _ in waiting_for],
                "at": [at for _, at in waiting_for],
            },
        )
        return sorted(found.scalars())


async def test_the_broker_lets_ingest_publish_to_gateways_under_the_keys_of_gateways_only(vhost: Vhost) -> None:
    for key, may in {"gateways.GW-1.readings": True, "gateways.GW-1.wmbus": True, "gateways.GW-1.x": False}.items():
        async with open_channel(vhost.ingest_url) as channel:
            exchange = await channel.get_exchange(topology.GATEWAYS, ensure=False)
            publishing = exchange.publish(aio_pika.Message(b"{}"), key, timeout=10)
            if may:
                await publishing
            else:
                with pytest.raises(ChannelAccessRefused):
                    await publishing


async def test_two_at_once_share_the_work(engine: AsyncEngine, database: Database, vhost: Vhost) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost) as one, running_ingest(database, vhost) as other:
        many = [reading("1", NOON - timedelta(minutes=n), value=n) for n in range(1_500)]
        await publish_as_gateway(vhost.url, building.gateway_id, many)
        await eventually(waits(engine, ["unknown_installation"] * 1_500))
        await add_meter(engine, building, "1")
        await eventually(waits(engine, []))
        await eventually(stored(engine, [float(n) for n in reversed(range(1_500))]))
        counts = [await figure(app, "mbus_ingest_readings_replayed_total") for app in (one, other)]
    assert sum(counts) == 1_500


async def test_ingest_lives_on_while_it_cannot_replay_and_does_it_later(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost, replay_interval_s=0.05):
        await publish_as_gateway(vhost.url, building.gateway_id, reading("1"))
        await eventually(waits(engine, ["unknown_installation"]))
        async with open_engine(database.owner_url, application_name="mbus-tests") as owner:
            async with owner.begin() as connection:
                await connection.execute(text("REVOKE UPDATE ON quarantined_reading FROM mbus_ingest"))
            await add_meter(engine, building, "1")
            await asyncio.sleep(0.3)  # several tries that fail; there is nothing to await
            assert await values(engine) == []
            async with owner.begin() as connection:
                await connection.execute(text("GRANT UPDATE ON quarantined_reading TO mbus_ingest"))
        await eventually(stored(engine, [1.5]))


async def test_a_change_of_the_registry_is_noticed_before_the_next_look_is_due(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    async with running_ingest(database, vhost, replay_interval_s=3600):
        await publish_as_gateway(vhost.url, building.gateway_id, reading("1"))
        await eventually(waits(engine, ["unknown_installation"]))
        await add_meter(engine, building, "1")
        await eventually(stored(engine, [1.5]))
