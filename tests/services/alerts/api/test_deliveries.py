"""The log of deliveries: what is listed, what each item says, and which a filter lets through."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.alerts.api.data import NOON, add_alert, add_delivery
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.tokens import Headers

HOUR = timedelta(hours=1)
NOON_TEXT = "2026-11-01T12:00:00Z"


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def hook(engine: AsyncEngine, building: Building) -> UUID:
    return await add_webhook(engine, building.tenant_id)


async def listed(client: httpx2.AsyncClient, caller: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/deliveries?{query}", headers=caller)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_an_item_says_what_was_sent_to_whom_and_what_became_of_it(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    alert_id = await add_alert(engine, building)
    tried: dict[str, Any] = {
        "attempts": 2,
        "last_attempt_at": NOON + HOUR,
        "last_status": 503,
        "last_error": "the answer was 503",
    }
    later = NOON + 2 * HOUR
    delivery_id = await add_delivery(engine, building, hook, alert_id=alert_id, next_attempt_at=later, **tried)
    (item,) = await listed(client, headers(building.tenant_id))
    event = item.pop("event")
    assert event["type"] == "installation.stale"
    assert item == {
        "id": str(delivery_id),
        "subscription_id": str(hook),
        "alert_id": str(alert_id),
        "event_type": "installation.stale",
        "state": "pending",
        "created_at": NOON_TEXT,
        "attempts": 2,
        "next_attempt_at": "2026-11-01T14:00:00Z",
        "last_attempt_at": "2026-11-01T13:00:00Z",
        "last_status": 503,
        "last_error": "the answer was 503",
        "delivered_at": None,
        "dropped_at": None,
        "dropped_because": None,
        "digest_id": None,
        "held_by": None,
    }
    one = await client.get(f"/deliveries/{delivery_id}", headers=headers(building.tenant_id))
    assert (one.status_code, one.json()) == (200, {**item, "event": event})


async def test_when_it_is_tried_next_and_what_holds_it_are_said_only_of_what_waits(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    window = uuid4()
    held = await add_delivery(engine, building, hook, held_by=window)
    settled = await add_delivery(engine, building, hook, held_by=window, digest_id=held)
    gone = await add_delivery(engine, building, hook, held_by=window, digest_id=held, delivered_at=NOON)
    dropped = await add_delivery(engine, building, hook, held_by=window, dropped_at=NOON, dropped_because="maintenance")
    told = {item["id"]: item for item in await listed(client, headers(building.tenant_id))}
    said = {
        id_: (told[str(id_)]["state"], told[str(id_)]["held_by"], told[str(id_)]["next_attempt_at"])
        for id_ in (held, settled, gone, dropped)
    }
    assert said == {
        held: ("pending", str(window), NOON_TEXT),
        settled: ("pending", None, NOON_TEXT),
        gone: ("delivered", None, None),
        dropped: ("dropped", None, None),
    }
    assert told[str(dropped)]["dropped_because"] == "maintenance"
    assert told[str(gone)]["digest_id"] == str(held)


async def test_each_filter_lets_through_what_it_says_and_all_hold_at_once(
    *, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    alerts = [
        await add_alert(engine, building, installation_id=building.installation_ids[0]),
        await add_alert(engine, building),
    ]
    ids = [
        await add_delivery(engine, building, hook, alert_id=alerts[0]),
        await add_delivery(engine, building, hook, alert_id=alerts[0], created_at=NOON + HOUR, delivered_at=NOON),
        await add_delivery(
            engine,
            building,
            mail,
            alert_id=alerts[1],
            event_type="gateway.silent",
            created_at=NOON + 2 * HOUR,
            dropped_at=NOON,
            dropped_because="gave_up",
        ),
        await add_delivery(engine, building, mail, event_type="subscription.test", created_at=NOON + 3 * HOUR),
    ]
    choices: list[tuple[str, list[int]]] = [
        ("", [3, 2, 1, 0]),
        (f"subscription_id={mail}", [3, 2]),
        (f"subscription_id={mail}&subscription_id={hook}", [3, 2, 1, 0]),
        ("state=pending", [3, 0]),
        ("state=delivered", [1]),
        ("state=dropped&state=delivered", [2, 1]),
        ("event_type=gateway.silent", [2]),
        ("event_type=subscription.test&event_type=installation.stale", [3, 1, 0]),
        ("event_type=installation.stale&state=delivered&state=dropped", [1]),
        (f"alert_id={alerts[0]}", [1, 0]),
        (f"alert_id={alerts[0]}&alert_id={alerts[1]}&state=dropped", [2]),
        (f"alert_id={alerts[0]}&event_type=installation.stale&subscription_id={hook}", [1, 0]),
        (f"alert_id={alerts[0]}&subscription_id={mail}", []),
        ("from=2026-11-01T13:00:00Z", [3, 2, 1]),
        ("to=2026-11-01T13:00:00Z", [0]),
        ("from=2026-11-01T13:00:00Z&to=2026-11-01T15:00:00Z&state=delivered&state=dropped", [2, 1]),
        (f"subscription_id={uuid4()}", []),
    ]
    for query, found in choices:
        items = await listed(client, headers(building.tenant_id), query)
        assert [item["id"] for item in items] == [str(ids[n]) for n in found], query


@pytest.mark.parametrize("query", ["", "state=pending&state=dropped", "event_type=installation.stale"])
async def test_pages_hold_each_delivery_once_though_others_come_and_states_change_meanwhile(
    *, query: str, client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, hook: UUID
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    # Of several at the same time the one that was made later is the newer one.
    ids = [
        str(await add_delivery(engine, building, (hook, mail)[n % 2], created_at=NOON + (n // 3) * HOUR))
        for n in range(7)
    ]
    seen: list[str] = []
    cursor = ""
    while True:
        url = f"/deliveries?limit=2&{query}{cursor}"
        page = (await client.get(url, headers=headers(building.tenant_id))).json()
        seen += [item["id"] for item in page["items"]]
        if not page["has_next"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await add_delivery(engine, building, hook, created_at=NOON + 9 * HOUR)
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state.0"),
        ("event_type=alerts.digest", "event_type.0"),
        ("alert_id=1", "alert_id.0"),
        ("from=yesterday", "from"),
        ("cursor=none", "cursor"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    query: str, field: str, client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    answer = await client.get(f"/deliveries?{query}", headers=headers(building.tenant_id))
    assert answer.status_code in {400, 422}
    assert [error["field"].split(".")[0] for error in answer.json()["errors"]] == [field.split(".", maxsplit=1)[0]]
