"""A cursor can be made by anyone who knows how: it gives another page of the caller's own, or it is refused."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.http import cursors
from tests.services.query.data import add_readings
from tests.services.query.operations import Operation, secured_operations
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LISTS = [
    pytest.param(operation, order, id=" ".join((operation.path, *order.values())))
    for operation in secured_operations()
    if operation.takes_a_cursor
    for order in operation.orders
]
NO_TEXT = ["\0", "a\0", "\ud800"]
OTHERS: list[object] = [
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-11-01T12:00:00", "infinity"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-11-01T12:00:00+01:00"),
    *(str(UUID(int=0)), "", "a" * 2000, None, 0, -1, 1e300, True, [], {}),
]
"""Some of these are good in some places."""


@pytest.fixture
async def buildings(engine: AsyncEngine) -> tuple[Building, Building]:
    """Ours and theirs; there is more than one page of everything in ours."""
    ours, theirs = await create_building(engine, meters=2), await create_building(engine, meters=2)
    await create_building(engine, meters=0, tenant_id=ours.tenant_id)
    for installation_id in (*ours.installation_ids, *theirs.installation_ids):
        await add_readings(engine, installation_id, [NOON])
    return ours, theirs


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> "Forge":
    forge = Forge()
    monkeypatch.setattr(cursors, "digest_of", forge.overhear)
    return forge


class Forge:
    """Makes cursors with the right digest for the list whose cursor was made last."""

    def __init__(self) -> None:
        self._digest_of = cursors.digest_of
        self._scope: Sequence[object] = ()

    def overhear(self, body: bytes, scope: Sequence[object]) -> bytes:
        self._scope = scope
        return self._digest_of(body, scope)

    def cursor(self, position: object) -> str:
        body = json.dumps(position).encode()
        return urlsafe_b64encode(self._digest_of(body, self._scope) + body).rstrip(b"=").decode()


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
        answer = await page(cursor=forge.cursor(position))
        if answer.status_code == 400:
            assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]
        assert not any(it in answer.text for it in foreign)
        return answer.status_code

    async def page(**more: str) -> httpx2.Response:
        url = operation.url(operation.needed(ours) | order | {"limit": "1"} | more)
        return await client.get(url, headers=headers(ours.tenant_id))

    own: list[Any] = json.loads(urlsafe_b64decode((await page()).json()["next_cursor"] + "==")[8:])
    assert await answered(own) == 200
    for at in range(len(own)):
        for value in OTHERS:
            assert await answered([*own[:at], value, *own[at + 1 :]]) in {200, 400}, value
        for value in NO_TEXT:
            assert await answered([*own[:at], value, *own[at + 1 :]]) == 400, value
    nothing: list[object] = [[], [*own, None], [own], None, {}]
    for no_position in nothing:
        assert await answered(no_position) == 400
