"""A cursor can be made by anyone who knows how: it gives another page of the caller's own, or it is refused."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.http import cursors
from tests.services.alerts.api.document import STREAM, operations
from tests.services.alerts.api.test_foreign_ids import inhabited
from tests.support.forged_cursors import NO_TEXT, OTHERS, Forge
from tests.support.operations import Operation
from tests.support.tokens import Headers

LISTS = [
    pytest.param(operation, id=operation.id)
    for operation in operations()
    if operation.takes_a_cursor and operation.path != STREAM
]


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Forge:
    forge = Forge()
    monkeypatch.setattr(cursors, "digest_of", forge.overhear)
    return forge


@pytest.mark.parametrize("operation", LISTS)
async def test_a_forged_cursor_gives_a_page_of_ones_own_or_is_refused(
    operation: Operation, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, forge: Forge
) -> None:
    ours, theirs = await inhabited(engine), await inhabited(engine)
    foreign = {str(it) for it in (theirs.property_id, theirs.unit_id, *theirs.installation_ids)}

    async def page(**more: str) -> httpx2.Response:
        return await client.get(operation.url({"limit": "1"} | more), headers=headers(ours.tenant_id))

    async def answered(position: object) -> int:
        answer = await page(cursor=forge.cursor(position))
        if answer.status_code == 400:
            assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]
        assert not any(it in answer.text for it in foreign)
        return answer.status_code

    first = (await page()).json()["next_cursor"]
    own: list[Any] = json.loads(urlsafe_b64decode(first + "=" * (-len(first) % 4))[8:])
    assert await answered(own) == 200
    for at in range(len(own)):
        for value in OTHERS:
            assert await answered([*own[:at], value, *own[at + 1 :]]) in {200, 400}, value
        for value in NO_TEXT:
            assert await answered([*own[:at], value, *own[at + 1 :]]) == 400, value
    nothing: list[object] = [[], [*own, None], [own], None, {}]
    for no_position in nothing:
        assert await answered(no_position) == 400
