"""`POST /deliveries/{id}/redeliver`: what ended is sent again under its id, and what waits is sent now."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import utc_now
from tests.services.alerts.api.data import NOON, add_delivery
from tests.services.alerts.standing import change, rows
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_webhook
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
DROPPED: dict[str, Any] = {"dropped_at": NOON, "dropped_because": "maintenance"}
FIELDS = ("is_pending", "attempts", "digest_id", "held_by", "wanted_since", "next_attempt_at")
STANDS = """
    SELECT delivered_at IS NULL AND dropped_at IS NULL AND dropped_because IS NULL, attempts, digest_id, held_by,
           wanted_since, next_attempt_at
    FROM delivery WHERE id = :id
"""


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def hook(engine: AsyncEngine, building: Building) -> UUID:
    return await add_webhook(engine, building.tenant_id)


async def redelivered(client: httpx2.AsyncClient, caller: dict[str, str], delivery_id: UUID) -> httpx2.Response:
    return await client.post(f"/deliveries/{delivery_id}/redeliver", headers=caller)


async def stands(engine: AsyncEngine, delivery_id: UUID) -> dict[str, Any]:
    (row,) = await rows(engine, STANDS, id=delivery_id)
    return dict(zip(FIELDS, row, strict=True))


async def test_what_was_delivered_alone_goes_again_as_if_it_were_new(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    one = uuid4()
    await add_delivery(engine, building, hook, id=one, digest_id=one, delivered_at=NOON, attempts=3)
    other = await add_delivery(engine, building, hook, delivered_at=NOON)
    before, untouched = utc_now(), await stands(engine, other)
    answer = await redelivered(client, headers(building.tenant_id), one)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["id"], told["state"], told["attempts"], told["digest_id"]) == (str(one), "pending", 0, str(one))
    found = await stands(engine, one)
    assert (found["is_pending"], found["attempts"], found["digest_id"]) == (True, 0, one)
    assert before <= found["wanted_since"] == found["next_attempt_at"]
    assert await stands(engine, other) == untouched


async def test_what_was_dropped_before_it_was_on_its_way_goes_alone_and_no_window_holds_it(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    one = await add_delivery(engine, building, hook, held_by=uuid4(), **DROPPED)
    answer = await redelivered(client, headers(building.tenant_id), one)
    assert (answer.status_code, answer.json()["state"], answer.json()["held_by"]) == (202, "pending", None)
    found = await stands(engine, one)
    assert (found["is_pending"], found["digest_id"], found["held_by"]) == (True, one, None)


@pytest.mark.parametrize("asked", [0, 2])
async def test_what_went_out_in_a_digest_goes_again_as_that_digest(
    *,
    asked: int,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    hook: UUID,
) -> None:
    head = uuid4()
    await add_delivery(engine, building, hook, id=head, digest_id=head, delivered_at=NOON)
    others = [await add_delivery(engine, building, hook, digest_id=head, delivered_at=NOON) for _ in range(2)]
    ids = [head, *others]
    answer = await redelivered(client, headers(building.tenant_id), ids[asked])
    assert (answer.status_code, answer.json()["id"]) == (202, str(ids[asked]))
    found = [await stands(engine, one) for one in ids]
    assert [(it["is_pending"], it["digest_id"]) for it in found] == [(True, head)] * 3
    assert len({it["next_attempt_at"] for it in found}) == 1


async def test_what_is_pending_is_tried_now_and_keeps_what_it_has_behind_it(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    failing = uuid4()
    later = utc_now() + HOUR
    await add_delivery(engine, building, hook, id=failing, digest_id=failing, attempts=4, next_attempt_at=later)
    held = await add_delivery(engine, building, hook, held_by=uuid4(), next_attempt_at=later)
    due = await add_delivery(engine, building, hook)
    for one, attempts in ((failing, 4), (held, 0), (due, 0)):
        answer = await redelivered(client, headers(building.tenant_id), one)
        assert (answer.status_code, answer.json()["attempts"]) == (202, attempts)
        found = await stands(engine, one)
        assert (found["digest_id"], found["held_by"], found["wanted_since"]) == (one, None, NOON)
        assert found["next_attempt_at"] <= utc_now()
    assert (await stands(engine, due))["next_attempt_at"] == NOON, "what is due is not put off"


async def test_part_of_a_pending_digest_lets_that_be_tried_now(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    head, later = uuid4(), utc_now() + HOUR
    await add_delivery(engine, building, hook, id=head, digest_id=head, next_attempt_at=later)
    part = await add_delivery(engine, building, hook, digest_id=head, next_attempt_at=later)
    assert (await redelivered(client, headers(building.tenant_id), part)).status_code == 202
    assert (await stands(engine, head))["next_attempt_at"] <= utc_now()
    assert (await stands(engine, part))["digest_id"] == head


async def test_an_endpoint_that_is_left_alone_after_failures_is_asked_at_once(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    one = await add_delivery(engine, building, hook, **DROPPED)
    await change(engine, "UPDATE subscription SET failures = 3, held_until = now() + interval '1 hour'")
    assert (await redelivered(client, headers(building.tenant_id), one)).status_code == 202
    assert await rows(engine, "SELECT failures, held_until FROM subscription") == [(3, None)]


@pytest.mark.parametrize(
    ("why", "says"),
    [
        ("enabled = false, disabled_at = now(), disabled_because = 'failing'", "disabled (`failing`)"),
        ("deleted_at = now()", "was removed"),
    ],
)
async def test_to_a_subscription_that_is_sent_nothing_nothing_is_sent_again(
    *,
    why: str,
    says: str,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    hook: UUID,
) -> None:
    one = await add_delivery(engine, building, hook, **DROPPED)
    await change(engine, f"UPDATE subscription SET {why}")
    before = await stands(engine, one)
    answer = await redelivered(client, headers(building.tenant_id), one)
    assert answer.status_code == 409
    assert says in answer.json()["detail"]
    assert await stands(engine, one) == before


async def test_what_went_out_with_something_that_is_no_longer_kept_is_refused(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    one = await add_delivery(engine, building, hook, digest_id=uuid4(), delivered_at=NOON)
    before = await stands(engine, one)
    answer = await redelivered(client, headers(building.tenant_id), one)
    assert (answer.status_code, "too old" in answer.json()["detail"]) == (409, True)
    assert await stands(engine, one) == before


async def test_reading_alone_is_not_enough_and_what_is_not_there_is_not_found(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    one = await add_delivery(engine, building, hook, **DROPPED)
    reader = headers(building.tenant_id, scope="alerts:read")
    assert (await redelivered(client, reader, one)).status_code == 403
    assert (await redelivered(client, headers(building.tenant_id), uuid4())).status_code == 404
    await change(engine, "UPDATE delivery SET subscription_id = NULL, alert_id = NULL, tenant_id = NULL")
    assert (await redelivered(client, headers(building.tenant_id), one)).status_code == 404, "that to the exchange"
