"""Consumption of an installation, a unit and a property: what is answered of counters."""

from datetime import datetime
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import MeterInstallation, Unit
from tests.services.query.consumption import (
    DAY,
    HOUR,
    OCTOBER,
    Asks,
    add_values,
    amounts,
    change,
    daily,
    flat_with_three_meters,
)
from tests.support.registry import Building, add_meter
from tests.support.tokens import Headers


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await flat_with_three_meters(engine)


@pytest.fixture
def asks(client: httpx2.AsyncClient, headers: Headers, building: Building) -> Asks:
    return Asks(client, headers(building.tenant_id))


async def test_a_bucket_is_the_difference_of_what_the_counter_showed_at_its_edges(
    asks: Asks, building: Building
) -> None:
    meter = building.installation_ids[0]
    assert await asks.found(f"/installations/{meter}", from_="2026-10-01", to="2026-10-03") == {
        "installation_id": str(meter),
        "medium": "heat",
        "unit_of_measure": "kWh",
        "bucket": "day",
        "time_zone": "Europe/Copenhagen",
        "start": "2026-09-30T22:00:00Z",
        "end": "2026-10-02T22:00:00Z",
        "longest_gap": "P2D",
        "total": {"consumption": 3.0, "flags": []},
        "buckets": [
            {"start": "2026-09-30T22:00:00Z", "end": "2026-10-01T22:00:00Z", "consumption": 1.0, "flags": []},
            {"start": "2026-10-01T22:00:00Z", "end": "2026-10-02T22:00:00Z", "consumption": 2.0, "flags": []},
        ],
    }


async def test_a_property_sums_its_meters_by_medium_in_one_unit_of_each_quantity(
    asks: Asks, building: Building
) -> None:
    told = await asks.found(f"/properties/{building.property_id}", from_="2026-10-01", to="2026-10-04")
    assert told["property_id"] == str(building.property_id)
    assert [(it["medium"], it["unit_of_measure"], amounts(it)) for it in told["series"]] == [
        ("cold_water", "m3", [0, 0.5, 1]),
        ("heat", "kWh", [11, 12, 13]),
    ]
    assert {(it["unit_id"], it["unit_label"]) for it in told["series"]} == {(None, None)}
    assert told["series"][1]["total"] == {"consumption": 36, "flags": [], "meters": 2, "unknown": 0}
    assert told["series"][1]["buckets"][0] == {
        "start": "2026-09-30T22:00:00Z",
        "end": "2026-10-01T22:00:00Z",
        "consumption": 11,
        "flags": [],
        "meters": 2,
        "unknown": 0,
    }


async def test_a_property_is_told_by_unit_where_that_is_asked_for(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    async with create_sessions(engine).begin() as session:
        upstairs = Unit(property_id=building.property_id, label="1. th")
        session.add(upstairs)
        await session.flush()
        upstairs_id = upstairs.id
    moved = building.installation_ids[1]
    await change(engine, "UPDATE meter_installation SET unit_id = :unit WHERE id = :id", unit=upstairs_id, id=moved)
    period = {"from_": "2026-10-01", "to": "2026-10-04"}
    told = await asks.found(f"/properties/{building.property_id}", per="unit", **period)
    assert [(it["unit_label"], it["medium"], amounts(it)) for it in told["series"]] == [
        ("1. th", "heat", [10, 10, 10]),
        ("1. tv", "cold_water", [0, 0.5, 1]),
        ("1. tv", "heat", [1, 2, 3]),
    ]
    of_unit = await asks.found(f"/units/{building.unit_id}", **period)
    assert (of_unit["unit_id"], of_unit["unit_label"]) == (str(building.unit_id), "1. tv")
    assert of_unit["property_id"] == str(building.property_id)
    assert of_unit["series"] == told["series"][1:]


async def test_a_sum_says_how_many_of_its_meters_it_does_not_know(asks: Asks, building: Building) -> None:
    """The last readings are those of the 4th, and a meter that is silent is not known."""
    told = await asks.found(f"/units/{building.unit_id}", from_="2026-10-03T12:00:00Z", to="2026-10-06")
    (_, heat) = told["series"]
    assert [(it["meters"], it["unknown"], it["flags"]) for it in heat["buckets"]] == [
        (2, 0, []),
        (2, 2, ["no_data"]),
        (2, 2, ["no_data"]),
    ]
    assert heat["total"]["flags"] == ["incomplete"]


async def test_what_was_removed_counts_for_the_time_in_which_it_was_there(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    await change(engine, "UPDATE meter_installation SET deleted_at = :at", at=OCTOBER + 2 * DAY)
    await change(engine, "UPDATE unit SET deleted_at = :at", at=OCTOBER + 2 * DAY)
    for path in (f"/properties/{building.property_id}", f"/units/{building.unit_id}"):
        told = await asks.found(path, from_="2026-10-01", to="2026-10-04")
        heat = told["series"][1]
        assert [(it["consumption"], it["meters"], it["flags"]) for it in heat["buckets"]] == [
            (11, 2, []),
            (None, 2, ["no_data"]),
            (None, 0, ["no_data"]),
        ]


async def test_a_medium_that_was_not_metered_in_the_period_has_no_series(asks: Asks, building: Building) -> None:
    told = await asks.found(f"/properties/{building.property_id}", from_="2020-10-01", to="2020-10-04")
    assert told["series"] == []


async def exchange(engine: AsyncEngine, building: Building, *, at: datetime, unit_of_measure: str = "kWh") -> UUID:
    """Another meter takes the place of the building's first."""
    old = building.installation_ids[0]
    async with create_sessions(engine).begin() as session:
        new = MeterInstallation(
            tenant_id=building.tenant_id,
            unit_id=building.unit_id,
            meter_serial="new",
            medium="heat",
            unit_of_measure=unit_of_measure,
            installed_at=at,
            replaces_id=old,
        )
        session.add(new)
        await session.flush()
        new_id = new.id
    await change(engine, "UPDATE meter_installation SET deleted_at = :at WHERE id = :id", at=at, id=old)
    return new_id


async def test_an_exchanged_meter_continues_its_predecessor_also_in_another_unit(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    new = await exchange(engine, building, at=OCTOBER + 3 * DAY + 2 * HOUR, unit_of_measure="MWh")
    await add_values(engine, new, daily(OCTOBER + 3 * DAY + 3 * HOUR, 7, 7.024))
    told = await asks.found(f"/installations/{new}", from_="2026-10-02", to="2026-10-05T01:00:00Z")
    assert told["unit_of_measure"] == "MWh"
    assert [(it["consumption"], it["flags"]) for it in told["buckets"]] == [
        (0.002, []),
        (0.003, []),
        (0.021, ["exchanged"]),
        (0.003, []),
    ]
    # The old one ends where the new one begins; in the property both are one meter.
    old = await asks.found(f"/installations/{building.installation_ids[0]}", from_="2026-10-02", to="2026-10-06")
    assert [(it["consumption"], it["flags"]) for it in old["buckets"]][1:] == [
        (3, []),
        (None, ["no_data"]),
        (None, ["no_data"]),
    ]
    house = await asks.found(f"/properties/{building.property_id}", from_="2026-10-02", to="2026-10-05T01:00:00Z")
    assert {it["meters"] for it in house["series"][1]["buckets"]} == {2}
    assert amounts(house["series"][1])[:3] == [12, 13, 21]


async def test_what_an_old_meter_sent_after_its_exchange_does_not_hide_what_it_sent_before(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    new = await exchange(engine, building, at=OCTOBER + 2 * DAY)
    await add_values(engine, new, daily(OCTOBER + 4 * DAY + 12 * HOUR, 7, 8))
    told = await asks.found(f"/installations/{new}", from_="2026-10-05", to="2026-10-06")
    (bucket,) = told["buckets"]
    assert (bucket["consumption"], bucket["flags"]) == (None, ["exchanged", "gap"])


async def test_a_meter_that_came_from_another_flat_does_not_bring_along_what_it_counted_there(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    new = await exchange(engine, building, at=OCTOBER + 2 * DAY)
    await add_values(engine, new, daily(OCTOBER + 1 * DAY, 5, 7, 9))
    await change(
        engine,
        "WITH flat AS (INSERT INTO unit (property_id, label) VALUES (:house, 'next') RETURNING id)"
        " UPDATE meter_installation SET unit_id = flat.id FROM flat WHERE meter_installation.id = :id",
        house=building.property_id,
        id=building.installation_ids[0],
    )
    told = await asks.found(f"/installations/{new}", from_="2026-10-01", to="2026-10-04")
    assert amounts(told) == [None, None, 2]


async def test_meters_that_replace_each_other_are_answered(asks: Asks, engine: AsyncEngine, building: Building) -> None:
    one, other, _ = building.installation_ids
    for before, after in ((one, other), (other, one)):
        await change(
            engine, "UPDATE meter_installation SET replaces_id = :before WHERE id = :id", before=before, id=after
        )
    assert (await asks.answer(f"/installations/{one}")).status_code == 200
    assert (await asks.answer(f"/properties/{building.property_id}")).status_code == 200


async def test_a_counter_that_fell_and_an_allocator_that_was_reset_are_told_apart(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    allocator = await add_meter(
        engine, building, "allocator", medium="heat_cost_allocator", unit_of_measure="hca", installed_at=OCTOBER
    )
    heat = await add_meter(engine, building, "heat", installed_at=OCTOBER)
    for meter in (allocator, heat):
        await add_values(engine, meter, daily(OCTOBER, 100, 110, 4, 6))
    period = {"from_": "2026-10-01", "to": "2026-10-04"}
    of_heat, of_allocator = [await asks.found(f"/installations/{meter}", **period) for meter in (heat, allocator)]
    assert [(it["consumption"], it["flags"]) for it in of_heat["buckets"]] == [(10, []), (0, ["counter_fell"]), (2, [])]
    assert [(it["consumption"], it["flags"]) for it in of_allocator["buckets"]] == [(10, []), (4, ["reset"]), (2, [])]
    assert of_allocator["unit_of_measure"] == "hca"


@pytest.mark.parametrize("value", [1e300, -1e300, 1.1e12])
async def test_a_value_that_is_no_counters_is_passed_over(
    asks: Asks, engine: AsyncEngine, building: Building, value: float
) -> None:
    meter = building.installation_ids[0]
    await add_values(engine, meter, {OCTOBER + 36 * HOUR: value})
    assert amounts(await asks.found(f"/installations/{meter}", from_="2026-10-01", to="2026-10-04")) == [1, 2, 3]
