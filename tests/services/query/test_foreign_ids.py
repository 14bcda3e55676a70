"""In each place for an id, another tenant's is answered as one that nobody has; so is another tenant's cursor."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import create_sessions
from shared.models import Property
from tests.services.query.conftest import Headers
from tests.services.query.data import add_readings
from tests.services.query.operations import Operation, Parameter, id_in, id_of_nothing, secured_operations
from tests.support.registry import Building, add_meter, create_building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
OPERATIONS = list(secured_operations())
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


async def inhabited(engine: AsyncEngine) -> Building:
    """A tenant with two properties and, in one of them, meters with readings: more than one page of everything."""
    building = await create_building(engine)
    async with create_sessions(engine).begin() as session:
        session.add(Property(tenant_id=building.tenant_id, name="Next door", address="Testvej 2, 8000 Aarhus"))
    await add_meter(engine, building, uuid4().hex[:8])
    for installation_id in building.installation_ids:
        await add_readings(engine, installation_id, [NOON + timedelta(hours=hours) for hours in range(3)])
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

    async def answer(*ids: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body, the last id's place left open."""
        value = list(ids) if parameter.is_list else ids[-1]
        url = operation.url(operation.needed(ours, beside=parameter.name) | {parameter.name: value})
        answer = await client.get(url, headers=headers(ours.tenant_id))
        told = {name: text for name, text in answer.headers.items() if name not in {"date", "content-length"}}
        return answer.status_code, told, answer.text.replace(ids[-1], "…")

    own, foreign = id_in(ours, parameter.name), id_in(theirs, parameter.name)
    status, told, body = await answer(foreign)
    assert (status, told, body) == await answer(id_of_nothing(parameter))
    assert status in {200, 404}
    # The same request finds something where the id is the caller's own.
    own_status, _, own_body = await answer(own)
    assert own_status == 200
    assert own_body != body
    if parameter.is_list:
        assert await answer(own, foreign) == await answer(own, id_of_nothing(parameter))


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


def tampered(cursor: str) -> list[str]:
    def other(at: int) -> str:
        return cursor[:at] + ("B" if cursor[at] == "A" else "A") + cursor[at + 1 :]

    places = (0, len(cursor) // 2, len(cursor) - 1)
    return [*map(other, places), cursor[:-1], cursor[1:], f"{cursor}A", f"{cursor}=", cursor.swapcase(), cursor * 2]
