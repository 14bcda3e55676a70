"""Telegrams of wmbusmeters through a real broker into `reading` and `quarantined_reading`."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from tests.services.ingest.wmbus.telegrams import AT, COLD_WATER, HEAT, HEAT_COST_ALLOCATOR, SMOKE_DETECTOR, WARM_WATER
from tests.support.messages import eventually, next_message, publish_as_gateway
from tests.support.registry import Building, add_meter, create_building
from tests.support.vhosts import Vhost

pytestmark = pytest.mark.usefixtures("ingest")


async def publish(vhost: Vhost, building: Building, body: object) -> None:
    key = topology.gateway_wmbus_key(building.gateway_id)
    await publish_as_gateway(vhost.url, building.gateway_id, body, key=key)


async def rows(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def count(engine: AsyncEngine) -> tuple[object, ...]:
    query = "SELECT (SELECT count(*) FROM reading), (SELECT count(*) FROM quarantined_reading)"
    return (await rows(engine, query))[0]


async def test_each_telegram_becomes_a_reading_in_the_unit_of_its_installation(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=0)
    heat = await add_meter(engine, building, "70000000", medium="heat", unit_of_measure="MWh")
    cold = await add_meter(engine, building, "2124589C", medium="cold_water", unit_of_measure="l")
    warm = await add_meter(
        engine, building, "70000002", medium="warm_water", unit_of_measure="m3", value_field="target_m3"
    )
    allocator = await add_meter(engine, building, "70000003", medium="heat_cost_allocator", unit_of_measure="hca")
    await publish(vhost, building, HEAT)
    await publish(
        vhost,
        building,
        [
            COLD_WATER | {"id": "2124589c", "battery_pct": 96.4},
            WARM_WATER | {"id": "70000002", "target_m3": 5.1, "rssi_dbm": 999},
            HEAT_COST_ALLOCATOR | {"id": "70000003.M=LSE.V=35.T=08"},
        ],
    )
    ordinary = {"installation_id": str(heat), "timestamp": "2026-03-01T13:00:00Z", "value": 45}
    await publish_as_gateway(vhost.url, building.gateway_id, ordinary)

    async def all_are_there() -> bool:
        return await count(engine) == (5, 0)

    await eventually(all_are_there)
    columns = "meter_installation_id, value, rssi_dbm, battery_level_pct"
    assert set(await rows(engine, f"SELECT {columns} FROM reading WHERE timestamp = '{AT.isoformat()}'")) == {
        (heat, 44.922222222, -71, None),
        (cold, 6408.0, -71, 96),
        (warm, 5.1, None, None),
        (allocator, 127.0, -71, None),
    }


async def test_what_says_no_reading_is_kept_in_quarantine_as_it_was_sent(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine, meters=0)
    await add_meter(engine, building, "70000000", medium="electricity", unit_of_measure="kWh")
    originals = {
        json.dumps(COLD_WATER, ensure_ascii=False, indent=1): "no_usable_value",
        json.dumps(SMOKE_DETECTOR | {"id": "00012811"}): "unknown_installation",
        json.dumps(HEAT | {"timestamp": "1111-11-11T11:11:11Z"}): "before_installation",
        json.dumps(HEAT | {"gateway_id": "GW-OTHER"}): "gateway_mismatch",
        '{"id": "\\u0000", "timestamp": "2026-03-01T12:00:00Z", "total_kwh": NaN}': "unknown_installation",
        '{"id": "70000000", "timestamp": "2026-03-01T12:00:00Z", "total_kwh": 1e999, "\\ud800": 1}': "no_usable_value",
        '{"total_kwh": 3}': "no_installation",
        "7": "not_an_object",
    }
    await publish(vhost, building, ("[" + ",\n".join(originals) + "]").encode())

    async def all_are_there() -> bool:
        return await count(engine) == (0, len(originals))

    await eventually(all_are_there)
    kept = await rows(engine, "SELECT convert_from(original, 'UTF8'), reason FROM quarantined_reading")
    assert dict(kept) == originals  # type: ignore[arg-type] # rows of two columns
    ((detail,),) = await rows(
        engine, "SELECT detail FROM quarantined_reading WHERE convert_from(original, 'UTF8') LIKE '%Kælder%' LIMIT 1"
    )
    assert str(detail).startswith("no field for electricity in kWh; the telegram has current_status, ext")


async def test_what_is_no_message_is_a_dead_letter(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine)
    await publish(vhost, building, b"telegram=|1844AE4C4455223368077A55000000_041389E20100023B0000|")
    letter = await next_message(vhost.url, topology.DEAD_LETTERS)
    assert letter.routing_key == f"gateways.{building.gateway_id}.wmbus"
    assert "not JSON" in str(letter.headers["x-mbus-reason"])


async def test_a_gateway_that_nobody_registered_waits_in_quarantine(engine: AsyncEngine, vhost: Vhost) -> None:
    building = await create_building(engine)
    await publish_as_gateway(vhost.url, "", HEAT, key=topology.gateway_wmbus_key("GW-NEW"))

    async def it_is_there() -> bool:
        return await count(engine) == (0, 1)

    await eventually(it_is_there)
    assert await rows(engine, "SELECT gateway_id, reason FROM quarantined_reading") == [("GW-NEW", "unknown_gateway")]
    assert building.gateway_id != "GW-NEW"
