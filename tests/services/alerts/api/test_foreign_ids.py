"""In each place for an id, another tenant's is answered as one that nobody has; so is another tenant's cursor."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.alerts.api.data import NOON, add_alert, add_delivery, building_beside
from tests.services.alerts.api.document import STREAM, body_of, operations
from tests.support.foreign_ids import Caller, tampered
from tests.support.operations import Operation, Parameter, id_in, id_of_nothing
from tests.support.registry import Building, add_meter, create_building
from tests.support.subscriptions import add_webhook
from tests.support.tokens import Headers

READING = [operation for operation in operations() if operation.method == "GET" and operation.path != STREAM]
PLACES = [
    pytest.param(operation, parameter, id=f"{operation.path}, {parameter.name}")
    for operation in READING
    for parameter in operation.parameters
    if parameter.names_something or parameter.is_text
]
PAGED = [pytest.param(operation, id=operation.id) for operation in READING if operation.takes_a_cursor]
CHANGING = [
    pytest.param(operation, parameter, id=operation.id)
    for operation in operations()
    if operation.method != "GET"
    for parameter in operation.parameters
]

TABLES = ("alert", "policy", "maintenance_window", "subscription", "subscription_secret", "delivery")
"""What callers may change."""


async def inhabited(engine: AsyncEngine, *, beside: Building | None = None) -> Building:
    """Alerts, policies, maintenance windows, subscriptions and deliveries: more than one page of everything."""
    building = await create_building(engine, meters=0) if beside is None else await building_beside(engine, beside)
    for number in range(2):
        installation_id = await add_meter(engine, building, uuid4().hex[:8])
        at = NOON + timedelta(hours=number)
        building.others["alert_id"] = await add_alert(engine, building, installation_id=installation_id, opened_at=at)
    await add_alert(engine, building)
    statement = text(
        "INSERT INTO policy (tenant_id, installation_id, property_id, stale_after)"
        " VALUES (:tenant, :installation, :property, '1 day') RETURNING id"
    )
    async with engine.begin() as connection:
        targets: tuple[dict[str, UUID | None], ...] = (
            {"installation": building.installation_ids[0], "property": None},
            {"installation": None, "property": building.property_id},
        )
        for target in targets:
            made = await connection.execute(statement, {"tenant": building.tenant_id, **target})
            building.others["policy_id"] = made.scalar_one()
        for column, named in (
            ("installation_id", building.installation_ids[0]),
            ("gateway_id", building.gateway_id),
            ("property_id", building.property_id),
        ):
            window = text(
                f"INSERT INTO maintenance_window (tenant_id, {column}, weekdays) VALUES (:tenant, :target, '{{2}}')"
                " RETURNING id"
            )
            made = await connection.execute(window, {"tenant": building.tenant_id, "target": named})
            building.others["window_id"] = made.scalar_one()
    for _ in range(2):
        building.others["subscription_id"] = await add_webhook(
            engine, building.tenant_id, property_ids=[building.property_id]
        )
    hook = building.others["subscription_id"]
    for ended in ({"dropped_at": NOON, "dropped_because": "gave_up"}, {"delivered_at": NOON}):
        building.others["delivery_id"] = await add_delivery(
            engine, building, hook, alert_id=building.others["alert_id"], **ended
        )
    return building


@pytest.fixture
async def tenants(engine: AsyncEngine) -> tuple[Building, Building]:
    """Ours and theirs."""
    return await inhabited(engine), await inhabited(engine)


@pytest.mark.parametrize(("operation", "parameter"), PLACES)
async def test_a_foreign_id_is_answered_as_one_that_nobody_has(
    operation: Operation,
    parameter: Parameter,
    client: httpx2.AsyncClient,
    headers: Headers,
    tenants: tuple[Building, Building],
) -> None:
    ours, theirs = tenants
    caller = Caller(client, headers(ours.tenant_id), ours)
    assert await caller.sees_nothing_of(theirs, operation, parameter)


@pytest.mark.parametrize(("operation", "parameter"), PLACES)
async def test_a_narrowed_caller_is_answered_so_for_what_the_tenant_has_elsewhere(
    operation: Operation, parameter: Parameter, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine
) -> None:
    here = await inhabited(engine)
    elsewhere = await inhabited(engine, beside=here)
    caller = Caller(client, headers(here.tenant_id, property_ids=[here.property_id]), here)
    assert await caller.sees_nothing_of(elsewhere, operation, parameter)


@pytest.mark.parametrize(("operation", "parameter"), CHANGING)
async def test_nobody_changes_what_is_not_theirs_or_learns_that_it_is_there(
    operation: Operation, parameter: Parameter, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine
) -> None:
    ours, theirs = await inhabited(engine), await inhabited(engine)
    elsewhere = await inhabited(engine, beside=ours)

    async def everything() -> list[object]:
        async with engine.connect() as connection:
            return [
                row for table in TABLES for row in await connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))
            ]

    async def answer(caller: dict[str, str], one: str) -> tuple[int, str]:
        url = operation.url({parameter.name: one})
        answered = await client.request(operation.method, url, headers=caller, json=body_of(operation))
        return answered.status_code, answered.text.replace(one, "…")

    before = await everything()
    whole, narrowed = headers(ours.tenant_id), headers(ours.tenant_id, property_ids=[ours.property_id])
    for caller, foreign in ((whole, theirs), (narrowed, theirs), (narrowed, elsewhere)):
        nothing = await answer(caller, id_of_nothing(parameter))
        assert nothing[0] == 404
        assert await answer(caller, id_in(foreign, parameter.name)) == nothing
    assert await everything() == before
    assert (await answer(whole, id_in(ours, parameter.name)))[0] in {200, 202, 204}


@pytest.mark.parametrize("operation", PAGED)
async def test_a_foreign_or_tampered_cursor_is_answered_as_a_text_that_is_none(
    operation: Operation, client: httpx2.AsyncClient, headers: Headers, tenants: tuple[Building, Building]
) -> None:
    ours, _ = tenants

    async def page(building: Building, **more: str) -> httpx2.Response:
        url = operation.url(operation.needed(building) | {"limit": "1"} | more)
        return await client.get(url, headers=headers(building.tenant_id))

    own, foreign = [(await page(building)).json()["next_cursor"] for building in tenants]
    assert (await page(ours, cursor=own)).status_code == 200
    refused = await page(ours, cursor="no-cursor")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]
    for bad in (foreign, *tampered(own)):
        answer = await page(ours, cursor=bad)
        assert (answer.status_code, answer.text) == (400, refused.text), bad
