"""A cursor can be made by anyone who knows how: it gives another page of the caller's own, or it is refused."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.http import cursors
from tests.services.query.data import add_readings
from tests.services.query.document import operations
from tests.support.forged_cursors import NO_TEXT, OTHERS, Forge
from tests.support.operations import Operation
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
REFUSED_OR_NOT = {200, 400, 410}
LISTS = [
    pytest.param(operation, order, id=" ".join((operation.path, *order.values())))
    for operation in operations()
    if operation.takes_a_cursor
    for order in operation.orders
]


@pytest.fixture
async def buildings(engine: AsyncEngine) -> tuple[Building, Building]:
    """Ours and theirs; there is more than one page of everything in ours."""
    ours, theirs = await create_building(engine, meters=2), await create_building(engine, meters=2)
    await create_building(engine, meters=0, tenant_id=ours.tenant_id)
    for installation_id in (*ours.installation_ids, *theirs.installation_ids):
        await add_readings(engine, installation_id, [NOON])
    return ours, theirs


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Forge:
    forge = Forge()
    monkeypatch.setattr(cursors, "digest_of", forge.overhear)
    return forge


@pytest.mark.parametrize(("operation", "order"), LISTS)
async def test_a_forged_cursor_gives_a_page_of_ones_own_or_is_refused(
    *,
    operation: Operation,
    order: dict[str, str],
    client: httpx2.AsyncClient,
    headers: Headers,
    buildings: tuple[Building, Building],
    forge: Forge,
) -> None:
    ours, theirs = buildings
    foreign = {str(it) for it in (theirs.property_id, theirs.unit_id, *theirs.installation_ids)}

    async def answered(position: object) -> int:
        answer = await page(**{operation.cursor: forge.cursor(position)})
        if answer.status_code == 400:
            assert [error["field"] for error in answer.json()["errors"]] == [operation.cursor]
        assert not any(it in answer.text for it in foreign)
        return answer.status_code

    async def page(**more: str) -> httpx2.Response:
        url = operation.url(operation.needed(ours) | order | {"limit": "1"} | more)
        return await client.get(url, headers=headers(ours.tenant_id))

    own: list[Any] = json.loads(urlsafe_b64decode((await page()).json()["next_cursor"] + "==")[8:])
    assert await answered(own) == 200
    for at in range(len(own)):
        for value in OTHERS:
            assert await answered([*own[:at], value, *own[at + 1 :]]) in REFUSED_OR_NOT, value
        for value in NO_TEXT:
            assert await answered([*own[:at], value, *own[at + 1 :]]) == 400, value
    nothing: list[object] = [[], [*own, None], [own], None, {}]
    for no_position in nothing:
        assert await answered(no_position) == 400
