"""A preview says what the next sweep makes of the change: both are compared, over a fleet of many kinds of silence."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import policy_preview
from shared.clock import utc_now
from tests.services.alerts.standing import change, hear_gateway, judged_until, long_registered, rows, tick
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
METERS = 12

STATUSES = """
    SELECT i.meter_serial, s.state, s.alert_id IS NOT NULL
    FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id
"""
GATEWAYS = "SELECT gateway_id, state FROM gateway_status"


@dataclass
class Fleet:
    """Two houses with a gateway each, meters in both, some of which the other gateway heard last."""

    houses: tuple[Building, Building]
    until: datetime

    @property
    def tenant_id(self) -> UUID:
        return self.houses[0].tenant_id


@dataclass
class World:
    """Whose state is what."""

    stale: set[str]
    alerted: set[str]
    silent: set[str]


async def make_fleet(engine: AsyncEngine, chance: random.Random) -> Fleet:
    until = utc_now() + HOUR
    first = await create_building(engine, meters=0)
    second = await create_building(engine, meters=0, tenant_id=first.tenant_id)
    houses = first, second
    for number, house in enumerate(houses):
        for meter in range(METERS):
            medium, unit = chance.choice((("heat", "kWh"), ("water", "m3")))
            await add_meter(engine, house, f"7000{number}0{meter:02}", medium=medium, unit_of_measure=unit)
    await long_registered(engine, until)
    for house in houses:
        await hear_gateway(engine, house.gateway_id, until - chance.choice((1, 10, 20, 30, 40)) * HOUR)
        for installation_id in house.installation_ids:
            silent_for = chance.choice((1, 5, 20, 30, 47, 60, 100)) * HOUR
            await change(
                engine,
                "UPDATE installation_status SET state = 'fresh', last_reading_at = :at, last_value = 1,"
                " last_gateway_id = :gateway WHERE installation_id = :id",
                id=installation_id,
                at=until - silent_for - chance.random() * HOUR,
                gateway=chance.choice(houses).gateway_id,
            )
    await judged_until(engine, until)
    await tick(engine, until)
    return Fleet(houses, until)


async def world(engine: AsyncEngine) -> World:
    statuses = await rows(engine, STATUSES)
    return World(
        stale={serial for serial, state, _ in statuses if state == "stale"},
        alerted={serial for serial, _, alerted in statuses if alerted},
        silent={gateway for gateway, state in await rows(engine, GATEWAYS) if state == "silent"},
    )


def what_changed(before: World, after: World) -> dict[str, set[str]]:
    return {
        "becoming_stale": after.alerted - before.alerted,
        "suppressed": after.stale - before.stale - after.alerted,
        "no_longer_stale": before.stale - after.stale,
        "gateways_becoming_silent": after.silent - before.silent,
        "gateways_no_longer_silent": before.silent - after.silent,
    }


def what_was_said(preview: Any) -> dict[str, set[str]]:
    kinds = {name: found for name, found in preview.items() if name != "installations"}
    assert all(found["count"] == len(found["sample"]) for found in kinds.values())
    return {name: {one.get("meter_serial", one["id"]) for one in found["sample"]} for name, found in kinds.items()}


TARGETS = ("installation_id", "property_id", "medium")


def a_policy(chance: random.Random, fleet: Fleet) -> dict[str, Any]:
    house = chance.choice(fleet.houses)
    targets: list[dict[str, str]] = [
        {},
        {"medium": chance.choice(("heat", "water"))},
        {"property_id": str(house.property_id)},
        {"installation_id": str(chance.choice(house.installation_ids))},
    ]
    quiet: list[dict[str, Any]] = [
        {},
        {"quiet_weekdays": [6, 7]},
        {"quiet_from": "19:00:00", "quiet_until": "07:00:00"},
        {"grace": "P3000D"},
    ]
    limit = chance.choice(("PT4H", "PT12H", "P1D", "PT30H", "P3D", "P9D"))
    return {"stale_after": limit, **chance.choice(targets), **chance.choice(quiet)}


def a_change(
    chance: random.Random, fleet: Fleet, policies: list[dict[str, Any]]
) -> tuple[dict[str, Any], tuple[str, str, dict[str, Any] | None]]:
    """What a preview is asked, and the method, path and body of the same in earnest."""
    wanted = a_policy(chance, fleet)
    for one in policies:
        if all(one[name] == wanted.get(name) for name in TARGETS):
            named = chance.choice(({}, {"policy_id": one["id"]}))  # it gives way, or is said to
            return {"policy": wanted, **named}, ("PUT", f"/policies/{one['id']}", wanted)
    if not policies or chance.random() < 0.5:
        return {"policy": wanted}, ("POST", "/policies", wanted)
    one = chance.choice(policies)
    if chance.random() < 0.5:
        return {"policy": wanted, "policy_id": one["id"]}, ("PUT", f"/policies/{one['id']}", wanted)
    return {"policy_id": one["id"]}, ("DELETE", f"/policies/{one['id']}", None)


@pytest.mark.parametrize("seed", range(4))
async def test_a_preview_says_what_the_next_sweep_makes_of_the_change(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setattr(policy_preview, "AT_A_TIME", 5)
    monkeypatch.setattr(policy_preview, "SAMPLE", 2 * METERS)
    chance = random.Random(seed)
    fleet = await make_fleet(engine, chance)
    caller = headers(fleet.tenant_id)
    for _ in range(10):
        policies = (await client.get("/policies", headers=caller)).json()["items"]
        asked, (method, path, body) = a_change(chance, fleet, policies)
        before = await world(engine)
        said = await client.post("/policies/preview", headers=caller, json=asked)
        assert said.status_code == 200, said.text
        done = await client.request(method, path, headers=caller, json=body)
        assert done.is_success, done.text
        await tick(engine, fleet.until)
        assert what_was_said(said.json()) == what_changed(before, await world(engine)), (method, asked)
