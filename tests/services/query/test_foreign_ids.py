"""In each place for an id, another tenant's is answered as one that nobody has; so is another tenant's cursor."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import Property
from tests.services.query.data import add_readings
from tests.services.query.document import operations
from tests.support.foreign_ids import Caller, tampered
from tests.support.operations import Operation, Parameter
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
OPERATIONS = operations()
PLACES = [
    pytest.param(operation, parameter, id=f"{operation.path}, {parameter.name}")
    for operation in OPERATIONS
    for parameter in operation.parameters
    if parameter.names_something or parameter.is_text
]
PAGED = [pytest.param(operation, id=operation.path) for operation in OPERATIONS if operation.takes_a_cursor]


@pytest.fixture
async def tenants(engine: AsyncEngine) -> tuple[Building, Building]:
    """Ours and theirs."""
    return await inhabited(engine), await inhabited(engine)


async def inhabited(engine: AsyncEngine, *, tenant_id: UUID | None = None) -> Building:
    """Two properties and, in one of them, meters with readings: more than one page of everything."""
    building = await create_building(engine, meters=0, tenant_id=tenant_id)
    for _ in range(4):
        installation_id = await add_meter(engine, building, uuid4().hex[:8])
        await add_readings(engine, installation_id, [NOON + timedelta(hours=hours) for hours in range(3)])
    async with create_sessions(engine).begin() as session:
        session.add(Property(tenant_id=building.tenant_id, name=f"Next to {building.property_id}", address="Testvej 2"))
    return building


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
    elsewhere = await inhabited(engine, tenant_id=here.tenant_id)
    caller = Caller(client, headers(here.tenant_id, property_ids=[here.property_id]), here)
    assert await caller.sees_nothing_of(elsewhere, operation, parameter)


@pytest.mark.parametrize("operation", PAGED)
async def test_a_foreign_or_tampered_cursor_is_answered_as_a_text_that_is_none(
    operation: Operation, client: httpx2.AsyncClient, headers: Headers, tenants: tuple[Building, Building]
) -> None:
    ours, _ = tenants

    async def page(building: Building, **more: str) -> httpx2.Response:
        url = operation.url(operation.needed(building) | {"limit": "1"} | more)
        return await client.get(url, headers=headers(building.tenant_id))

    own, foreign = [(await page(building)).json()["next_cursor"] for building in tenants]
    assert (await page(ours, **{operation.cursor: own})).status_code == 200
    refused = await page(ours, **{operation.cursor: "no-cursor"})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [operation.cursor]
    for bad in (foreign, *tampered(own)):
        answer = await page(ours, **{operation.cursor: bad})
        assert (answer.status_code, answer.text) == (400, refused.text), bad


async def test_the_cursor_of_one_installations_readings_is_a_time_that_any_list_gives_and_opens_only_ones_own(
    client: httpx2.AsyncClient, headers: Headers, tenants: tuple[Building, Building]
) -> None:
    ours, theirs = tenants

    async def page(building: Building, parameters: str) -> httpx2.Response:
        url = f"/readings?limit=1&{parameters}"
        return await client.get(url, headers=headers(building.tenant_id))

    own_meter = f"installation_id={ours.installation_ids[0]}"
    foreign = (await page(theirs, f"installation_id={theirs.installation_ids[0]}")).json()["next_cursor"]
    answer = await page(ours, f"{own_meter}&cursor={foreign}")
    assert answer.json() == (await page(ours, f"{own_meter}&before={foreign}")).json()
    assert {item["meter_installation_id"] for item in answer.json()["items"]} == {str(ours.installation_ids[0])}
    assert (await page(ours, f"installation_id={theirs.installation_ids[0]}&cursor={foreign}")).status_code == 404
    of_several = (await page(ours, f"property_id={ours.property_id}")).json()["next_cursor"]
    for no_time in ("no-cursor", of_several):
        assert (await page(ours, f"{own_meter}&cursor={no_time}")).status_code == 400
