"""Which subscriptions a transition makes deliveries for: in its own transaction, by what each wants to hear of."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.alerts.standing import change, hear_gateway, long_registered, rows, store, tick
from tests.services.alerts.subscribers.told import open_alert, tell_all
from tests.support.registry import Building, add_meter, create_building
from tests.support.subscriptions import add_mail, add_webhook

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOLD = "SELECT event_type, event #>> '{data,meter_serial}' FROM delivery WHERE subscription_id = :id ORDER BY position"


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Two heat meters and a water meter."""
    made = await create_building(engine, meters=2)
    await add_meter(engine, made, "water", medium="water", unit_of_measure="m3")
    return made


async def fall_silent(engine: AsyncEngine, building: Building) -> None:
    """All gateways are heard, and the building's first meter; its other two fall silent."""
    heard, *silent = building.installation_ids
    await long_registered(engine, NOON)
    for (gateway_id,) in await rows(engine, "SELECT id FROM gateway"):
        await hear_gateway(engine, gateway_id, NOON - timedelta(hours=1))
    await store(engine, heard, [NOON - timedelta(hours=1)])
    for one in silent:
        await store(engine, one, [NOON - timedelta(days=3)])
    await tick(engine, NOON)


async def told(engine: AsyncEngine, subscription: UUID) -> list[tuple[str, str]]:
    return [(kind, serial) for kind, serial in await rows(engine, TOLD, id=subscription)]


async def test_each_subscription_gets_what_it_wants_and_the_exchange_everything(
    engine: AsyncEngine, building: Building
) -> None:
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    stranger = await create_building(engine, meters=0)
    everything = await add_webhook(engine, building.tenant_id)
    mail = await add_mail(engine, building.tenant_id)
    water = await add_webhook(engine, building.tenant_id, media=["water", "gas"])
    here = await add_webhook(engine, building.tenant_id, property_ids=[other.property_id, building.property_id])
    elsewhere = await add_webhook(engine, building.tenant_id, property_ids=[other.property_id])
    recoveries = await add_webhook(engine, building.tenant_id, event_types=["installation.recovered"])
    disabled = await add_webhook(engine, building.tenant_id)
    await change(
        engine,
        "UPDATE subscription SET enabled = false, disabled_at = now(), disabled_because = 'by_hand' WHERE id = :id",
        id=disabled,
    )
    removed = await add_webhook(engine, building.tenant_id)
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
    of_another = await add_webhook(engine, stranger.tenant_id)

    await fall_silent(engine, building)

    both = sorted([("installation.stale", "70000001"), ("installation.stale", "water")])
    exchange = await rows(
        engine, "SELECT event_type, event #>> '{data,meter_serial}' FROM delivery WHERE subscription_id IS NULL"
    )
    assert sorted(exchange) == both
    assert sorted(await told(engine, everything)) == both
    assert sorted(await told(engine, mail)) == both
    assert await told(engine, water) == [("installation.stale", "water")]
    assert sorted(await told(engine, here)) == both
    for one in (elsewhere, recoveries, disabled, removed, of_another):
        assert await told(engine, one) == []


async def test_the_event_is_the_same_everywhere_and_each_delivery_has_an_id_of_its_own(
    engine: AsyncEngine, building: Building
) -> None:
    await add_webhook(engine, building.tenant_id)
    await add_webhook(engine, building.tenant_id)
    await fall_silent(engine, building)
    found = await rows(engine, "SELECT alert_id, count(DISTINCT event), count(DISTINCT id) FROM delivery GROUP BY 1")
    assert [(events, ids) for _, events, ids in found] == [(1, 3), (1, 3)]


async def test_a_silent_gateway_is_where_its_meters_are_and_of_any_medium(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=2)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_meter(engine, other, "71000000")
    here = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id], media=["water"])
    elsewhere = await add_webhook(engine, building.tenant_id, property_ids=[other.property_id])
    await long_registered(engine, NOON)
    await hear_gateway(engine, other.gateway_id, NOON)
    await hear_gateway(engine, building.gateway_id, NOON - timedelta(days=3))
    await tick(engine, NOON)
    assert [kind for kind, _ in await told(engine, here)] == ["gateway.silent"]
    assert [kind for kind, _ in await told(engine, elsewhere)] == ["installation.stale"]  # of its own meter


async def test_of_a_gateway_one_is_told_of_its_own_properties_alone(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=2)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    far = await add_meter(engine, other, "71000000")
    gateway = building.gateway_id
    await change(engine, "UPDATE meter_installation SET gateway_id = :to WHERE id = :id", to=gateway, id=far)
    for made, address in ((building, "Birkevej 1"), (other, "Askevej 2")):
        await change(engine, "UPDATE property SET address = :to WHERE id = :id", to=address, id=made.property_id)
    everything = await add_webhook(engine, building.tenant_id)
    both = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id, other.property_id])
    here = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id])
    there = await add_webhook(engine, building.tenant_id, property_ids=[other.property_id])
    await long_registered(engine, NOON)
    await hear_gateway(engine, other.gateway_id, NOON)
    await hear_gateway(engine, gateway, NOON - timedelta(days=3))
    await tick(engine, NOON)
    found = await rows(
        engine,
        "SELECT subscription_id, event #> '{data,installations}', event #> '{data,properties}',"
        " event #> '{data,addresses}', event #>> '{data,gateway_id}', event ->> 'type'"
        " FROM delivery WHERE event_type = 'gateway.silent'",
    )
    all_of_it = (3, 2, ["Askevej 2", "Birkevej 1"])
    assert {row[0]: tuple(row[1:4]) for row in found} == {
        None: all_of_it,
        everything: all_of_it,
        both: all_of_it,
        here: (2, 1, ["Birkevej 1"]),
        there: (1, 1, ["Askevej 2"]),
    }
    assert {tuple(row[4:]) for row in found} == {(gateway, "gateway.silent")}


async def test_a_gateway_is_not_where_its_meters_were_that_are_deleted(engine: AsyncEngine) -> None:
    building = await create_building(engine, meters=1)
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    gone = await add_meter(engine, other, "71000000")
    await change(
        engine,
        "UPDATE meter_installation SET gateway_id = :to, deleted_at = now() WHERE id = :id",
        to=building.gateway_id,
        id=gone,
    )
    here = await add_webhook(engine, building.tenant_id, property_ids=[building.property_id])
    elsewhere = await add_webhook(engine, building.tenant_id, property_ids=[other.property_id])
    await long_registered(engine, NOON)
    await hear_gateway(engine, other.gateway_id, NOON)
    await hear_gateway(engine, building.gateway_id, NOON - timedelta(days=3))
    await tick(engine, NOON)
    assert [kind for kind, _ in await told(engine, here)] == ["gateway.silent"]
    assert await told(engine, elsewhere) == []


async def test_deliveries_are_made_in_the_order_of_the_events(engine: AsyncEngine, building: Building) -> None:
    hooks = [await add_webhook(engine, building.tenant_id) for _ in range(3)]
    meter = building.installation_ids[0]
    alert = await open_alert(engine, building, meter)
    kinds = ["installation.stale", "installation.recovered", "installation.reminder"] * 20
    await tell_all(engine, building, [(kind, alert, meter) for kind in kinds])
    for hook in hooks:
        assert [kind for kind, _ in await told(engine, hook)] == kinds
    in_order = await rows(engine, "SELECT event ->> 'id' FROM delivery ORDER BY position")
    # All rows of an event come before those of the next.
    ids = [one for (one,) in in_order]
    assert [ids[at] for at in range(0, len(ids), 3)] == list(dict.fromkeys(ids))
    assert len(set(ids)) == len(kinds)


async def test_where_a_transition_is_rolled_back_there_is_no_delivery(engine: AsyncEngine, building: Building) -> None:
    await add_webhook(engine, building.tenant_id)
    await change(engine, "ALTER TABLE delivery ADD CONSTRAINT ck_no CHECK (subscription_id IS NULL)")
    with pytest.raises(Exception, match="ck_no"):
        await fall_silent(engine, building)
    assert await rows(engine, "SELECT count(*) FROM delivery") == [(0,)]
    assert await rows(engine, "SELECT count(*) FROM alert") == [(0,)]
