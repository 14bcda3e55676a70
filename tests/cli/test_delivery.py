"""`mbus delivery`, as a person and as a program uses it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import redelivery_in_bulk
from shared.models import Tenant
from tests.cli.commands import Finished, mbus, variables_of
from tests.services.alerts.api.data import add_delivery
from tests.services.alerts.standing import change, rows
from tests.support.databases import Database
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_mail, add_webhook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAVE_UP: dict[str, Any] = {"dropped_at": NOON, "dropped_because": "gave_up", "attempts": 9}

Command = Callable[..., Any]


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Of a tenant that is called acme."""
    made = await create_building(engine, meters=0)
    async with engine.begin() as connection:
        await connection.execute(update(Tenant).where(Tenant.id == made.tenant_id).values(slug="acme"))
    return made


@pytest.fixture
async def hook(engine: AsyncEngine, building: Building) -> UUID:
    return await add_webhook(engine, building.tenant_id, name="ERP \x1b[31m")


@pytest.fixture
def delivery(database: Database) -> Command:
    async def run(*arguments: object) -> Finished:
        return await mbus("delivery", *map(str, arguments), variables=variables_of(database))

    return run


async def pending(engine: AsyncEngine) -> dict[UUID, tuple[int, UUID]]:
    """The attempts and the digest of each that is due for another attempt."""
    found = await rows(
        engine,
        "SELECT id, attempts, digest_id FROM delivery WHERE delivered_at IS NULL AND dropped_at IS NULL"
        " AND next_attempt_at <= now()",
    )
    return {id_: (attempts, digest_id) for id_, attempts, digest_id in found}


async def test_a_list_shows_the_newest_first_and_how_many_there_are_in_each_state(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    tried: dict[str, Any] = {"last_attempt_at": NOON + HOUR, "last_status": 503, "last_error": "the answer was 503"}
    first = await add_delivery(engine, building, hook, created_at=NOON, **GAVE_UP, **tried)
    mail = await add_mail(engine, building.tenant_id)
    second = await add_delivery(engine, building, mail, created_at=NOON + HOUR, event_type="gateway.silent")
    ended = await delivery("list")
    lines = [re.split(r"\s{2,}", line.strip()) for line in ended.out.splitlines()]
    last = "2026-03-01 13:00:00Z the answer was 503"
    named = "ERP \\x1b[31m"
    assert lines == [
        ["id", "made", "tenant", "to", "event", "state", "failed", "last attempt"],
        [str(second), "2026-03-01 13:00:00Z", "acme", "mail", "gateway.silent", "pending", "0"],
        [str(first), "2026-03-01 12:00:00Z", "acme", named, "installation.stale", "dropped: gave_up", "9", last],
        [""],
        ["2 deliveries: 1 pending, 1 dropped"],
    ]


async def test_a_list_is_of_a_tenant_a_subscription_and_a_state(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    other = await create_building(engine, meters=0)
    others_hook = await add_webhook(engine, other.tenant_id)
    mail = await add_mail(engine, building.tenant_id)
    ids = [
        await add_delivery(engine, building, hook, created_at=NOON),
        await add_delivery(engine, building, hook, created_at=NOON + HOUR, delivered_at=NOON),
        await add_delivery(engine, building, mail, created_at=NOON + 2 * HOUR, **GAVE_UP),
        await add_delivery(engine, other, others_hook, created_at=NOON + 3 * HOUR),
    ]
    await change(
        engine,
        "INSERT INTO delivery (id, event_type, event) VALUES (:id, 'pipeline.degraded', '{}')",
        id=uuid4(),
    )
    choices: list[tuple[tuple[object, ...], list[int], dict[str, int]]] = [
        ((), [3, 2, 1, 0], {"pending": 2, "delivered": 1, "dropped": 1}),
        (("--tenant", "acme"), [2, 1, 0], {"pending": 1, "delivered": 1, "dropped": 1}),
        (("--subscription", hook), [1, 0], {"pending": 1, "delivered": 1}),
        (("--state", "pending", "--tenant", "acme"), [0], {"pending": 1}),
        (("--state", "dropped", "--subscription", hook), [], {}),
        (("--limit", 1), [3], {"pending": 2, "delivered": 1, "dropped": 1}),
    ]
    for options, found, counts in choices:
        ended = await delivery("list", "--json", *options)
        assert ended.code == 0, ended.errors
        told = json.loads(ended.out)
        assert [item["id"] for item in told["items"]] == [str(ids[n]) for n in found], options
        assert told["counts"] == counts, options


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("list", "--tenant", "nobody"), 1, "mbus: there is no tenant 'nobody'\n"),
    (("list", "--subscription", str(UUID(int=7))), 1, f"mbus: there is no subscription {UUID(int=7)}\n"),
    (("list", "--state", "lost"), 2, "lost"),
    (("redeliver",), 2, "say which"),
    (("redeliver", str(UUID(int=7)), "--subscription", str(UUID(int=7))), 2, "say which"),
    (("redeliver", str(UUID(int=7)), "--state", "delivered"), 2, "go with --subscription"),
    (("redeliver", "--subscription", str(UUID(int=7)), "--state", "pending"), 2, "pending"),
    (("redeliver", "--subscription", str(UUID(int=7)), "--since", "yesterday"), 2, "yesterday"),
    (("redeliver", "--subscription", str(UUID(int=7))), 1, f"mbus: there is no subscription {UUID(int=7)}\n"),
    (("redeliver", str(UUID(int=7))), 1, f"mbus: there is no delivery {UUID(int=7)}; nothing was done\n"),
]


async def test_what_cannot_be_meant_is_refused(delivery: Command) -> None:
    for arguments, code, complaint in REFUSED:
        ended = await delivery(*arguments)
        assert (ended.code, ended.out) == (code, ""), arguments
        assert complaint in ended.errors


async def test_those_named_are_sent_again_with_their_digests_and_what_is_pending_now(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    head, failing = uuid4(), uuid4()
    await add_delivery(engine, building, hook, id=head, digest_id=head, delivered_at=NOON)
    part = await add_delivery(engine, building, hook, digest_id=head, delivered_at=NOON)
    dropped = await add_delivery(engine, building, hook, held_by=uuid4(), **GAVE_UP)
    later = datetime.now(UTC) + HOUR
    await add_delivery(engine, building, hook, id=failing, digest_id=failing, attempts=2, next_attempt_at=later)
    untouched = await add_delivery(engine, building, hook, **GAVE_UP)
    named = (part, dropped, failing)
    ended = await delivery("redeliver", *named, "--dry-run")
    assert (ended.code, ended.out) == (0, "4 deliveries would be sent again; nothing changed.\n")
    assert await pending(engine) == {}
    ended = await delivery("redeliver", *named)
    assert (ended.code, ended.out) == (0, "4 deliveries are sent again: `mbus delivery list` shows how it goes.\n")
    assert await pending(engine) == {
        head: (0, head),
        part: (0, head),
        dropped: (0, dropped),
        failing: (2, failing),
    }
    assert await rows(engine, "SELECT id FROM delivery WHERE dropped_at IS NOT NULL") == [(untouched,)]


async def test_what_a_subscription_did_not_get_is_sent_again_by_state_and_time_in_batches(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redelivery_in_bulk, "AT_ONCE", 2)
    mail = await add_mail(engine, building.tenant_id)
    old = await add_delivery(engine, building, hook, created_at=NOON, **GAVE_UP)
    missed = [
        await add_delivery(engine, building, hook, created_at=NOON + (n // 2) * HOUR, **GAVE_UP) for n in range(2, 9)
    ]
    arrived = await add_delivery(engine, building, hook, created_at=NOON + HOUR, delivered_at=NOON)
    await add_delivery(engine, building, mail, created_at=NOON + HOUR, **GAVE_UP)
    await change(engine, "UPDATE subscription SET failures = 2, held_until = now() + interval '1 hour'")
    ended = await delivery("redeliver", "--subscription", hook, "--since", "2026-03-01T13:00:00Z", "--json")
    assert (ended.code, json.loads(ended.out)) == (0, {"redelivered": 7, "dry_run": False})
    assert set(await pending(engine)) == set(missed)
    held = await rows(engine, "SELECT id FROM subscription WHERE held_until IS NOT NULL")
    assert held == [(mail,)], "its endpoint is asked at once"
    for state, one in (("delivered", arrived), ("dropped", old)):
        ended = await delivery("redeliver", "--subscription", hook, "--state", state)
        assert ended.out.startswith("1 delivery is sent again")
        assert one in await pending(engine)
    ended = await delivery("redeliver", "--subscription", hook)
    assert (ended.code, ended.out.partition(" are")[0]) == (0, "0 deliveries")


async def test_to_a_subscription_that_is_sent_nothing_nothing_is_sent_again(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    one = await add_delivery(engine, building, hook, **GAVE_UP)
    other = await add_delivery(engine, building, mail, **GAVE_UP)
    await change(
        engine,
        "UPDATE subscription SET enabled = false, disabled_at = now(), disabled_because = 'gone' WHERE id = :id",
        id=hook,
    )
    for which in ((one, other), (one,), ("--subscription", hook)):
        ended = await delivery("redeliver", *which)
        assert (ended.code, ended.out) == (1, "")
        assert ended.errors == (
            f"mbus: nothing is sent to these subscriptions: {hook} is disabled (gone); nothing was done\n"
        )
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=hook)
    assert "is removed; nothing was done" in (await delivery("redeliver", one)).errors
    assert await pending(engine) == {}


async def test_what_others_are_at_is_left_to_them(
    delivery: Command, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    ids = [await add_delivery(engine, building, hook, **GAVE_UP) for _ in range(2)]
    async with engine.begin() as connection:
        await connection.execute(text("SELECT FROM delivery WHERE id = :id FOR UPDATE"), {"id": ids[0]})
        ended = await delivery("redeliver", "--subscription", hook, "--json")
    assert (ended.code, json.loads(ended.out)["redelivered"]) == (0, 1)
    assert set(await pending(engine)) == {ids[1]}
