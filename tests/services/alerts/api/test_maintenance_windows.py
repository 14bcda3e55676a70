"""`/maintenance-windows`: what they are of, when they are, and who may change them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import maintenance_windows
from services.alerts.queries.windows import read_windows
from services.alerts.rules.maintenance import Once, Recurring
from services.alerts.settings import AlertsSettings
from shared.clock import utc_now
from shared.database import open_engine
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.api.data import building_beside
from tests.services.alerts.standing import change, rows
from tests.support.databases import Database
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_webhook
from tests.support.tokens import Headers

DAY = timedelta(days=1)
NIGHTS: dict[str, Any] = {
    "weekdays": [7, 6, 6],
    "from_time": "22:00",
    "until_time": "06:00:30",
    "valid_from": "2026-11-01",
    "valid_until": "2027-03-31",
    "time_zone": "Atlantic/Faroe",
    "note": "The cellar is dug out.",
}
ONCE: dict[str, Any] = {"starts_at": "2026-11-01T08:00:00+01:00", "ends_at": "2026-11-01T16:30:00+01:00"}
OF_NOTHING = dict.fromkeys(("installation_id", "property_id", "gateway_id"))


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


def target(building: Building, kind: str) -> dict[str, Any]:
    return {
        "installation_id": {"installation_id": str(building.installation_ids[0])},
        "property_id": {"property_id": str(building.property_id)},
        "gateway_id": {"gateway_id": building.gateway_id},
        "tenant": {},
    }[kind]


TARGETS = ("installation_id", "property_id", "gateway_id")
KINDS = (*TARGETS, "tenant")


async def test_a_window_is_made_found_replaced_and_removed(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ida = headers(building.tenant_id, subject="ida")
    of_gateway = target(building, "gateway_id")
    made = await client.post("/maintenance-windows", headers=ida, json={**NIGHTS, **of_gateway})
    assert made.status_code == 201
    window = made.json()
    assert made.headers["Location"] == f"/maintenance-windows/{window['id']}"
    assert {name: window[name] for name in window.keys() - {"id", "created_at", "updated_at"}} == {
        **OF_NOTHING,
        **of_gateway,
        **NIGHTS,
        "starts_at": None,
        "ends_at": None,
        "weekdays": [6, 7],
        "from_time": "22:00:00",
        "until_time": "06:00:30",
        "updated_by": "ida",
    }
    assert window["created_at"] == window["updated_at"]
    url = made.headers["Location"]
    assert (await client.get(url, headers=ida)).json() == window
    answered = {name: window[name] for name in (*NIGHTS, *of_gateway)}
    again = await client.put(url, headers=headers(building.tenant_id, subject="ole"), json=answered)
    assert again.json() == {**window, "updated_at": again.json()["updated_at"], "updated_by": "ole"}
    once = await client.put(url, headers=ida, json=ONCE)
    assert once.json() == {
        **dict.fromkeys(window),
        "id": window["id"],
        "starts_at": "2026-11-01T07:00:00Z",
        "ends_at": "2026-11-01T15:30:00Z",
        "weekdays": [],
        "created_at": window["created_at"],
        "updated_at": once.json()["updated_at"],
        "updated_by": "ida",
    }
    assert once.json()["updated_at"] > window["updated_at"]
    assert (await client.delete(url, headers=ida)).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await client.request(method, url, headers=ida)).status_code == 404
    assert (await client.put(url, headers=ida, json=ONCE)).status_code == 404


async def test_the_list_has_every_window_page_by_page_and_filters_choose_by_what_they_are_of(
    client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    ours = headers(building.tenant_id)
    made = {}
    for kind in KINDS:
        answer = await client.post("/maintenance-windows", headers=ours, json={**ONCE, **target(building, kind)})
        made[kind] = answer.json()

    async def listed(query: str) -> list[str]:
        found: list[str] = []
        url: str | None = f"/maintenance-windows?limit=1&{query}"
        while url is not None:
            answer = await client.get(url, headers=ours)
            found += [item["id"] for item in answer.json()["items"]]
            url = answer.headers["Link"].partition(">")[0][1:] if answer.json()["has_next"] else None
        return found

    assert await listed("") == sorted(window["id"] for window in made.values())
    assert await listed(f"installation_id={building.installation_ids[0]}") == [made["installation_id"]["id"]]
    assert await listed(f"property_id={building.property_id}&property_id={uuid4()}") == [made["property_id"]["id"]]
    assert await listed(f"gateway_id={building.gateway_id}&gateway_id=GW-none") == [made["gateway_id"]["id"]]
    assert await listed(f"gateway_id={building.gateway_id}&property_id={building.property_id}") == []


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "starts_at", "or weekdays for a window that recurs"),
    ({"starts_at": ONCE["starts_at"]}, "ends_at", "is missing beside starts_at"),
    ({"ends_at": ONCE["ends_at"]}, "starts_at", "is missing beside ends_at"),
    ({**ONCE, "ends_at": ONCE["starts_at"]}, "ends_at", "later than starts_at"),
    ({**ONCE, "ends_at": "2026-11-01T16:00:00"}, "ends_at", "must have an offset"),
    ({**ONCE, "ends_at": 1793545200}, "ends_at", "must be a time"),
    ({**ONCE, "weekdays": [1]}, "weekdays", "window that recurs"),
    ({**ONCE, "from_time": "08:00"}, "from_time", "window that recurs"),
    ({**ONCE, "time_zone": "Europe/Copenhagen"}, "time_zone", "window that recurs"),
    ({**ONCE, "valid_from": "2026-11-01"}, "valid_from", "window that recurs"),
    ({"from_time": "08:00", "until_time": "16:00"}, "starts_at", "or weekdays"),
    ({"weekdays": [8]}, "weekdays.0", "less than or equal to 7"),
    ({"weekdays": [0]}, "weekdays.0", "greater than or equal to 1"),
    ({"weekdays": ["6"]}, "weekdays.0", "valid integer"),
    ({"weekdays": [1, 2, 3, 4, 5, 6, 7, 7]}, "weekdays", "at most 7 items"),
    ({"weekdays": [2], "from_time": "08:00"}, "until_time", "is missing beside from_time"),
    ({"weekdays": [2], "until_time": "08:00"}, "from_time", "is missing beside until_time"),
    ({"weekdays": [2], "from_time": "08:00", "until_time": "08:00:00"}, "until_time", "another than from_time"),
    ({"weekdays": [2], "from_time": "24:00", "until_time": "08:00"}, "from_time", "time of day"),
    ({"weekdays": [2], "valid_from": "2026-11-02", "valid_until": "2026-11-01"}, "valid_until", "not be before"),
    ({"weekdays": [2], "valid_from": "2026-02-30"}, "valid_from", "must be a date"),
    ({"weekdays": [2], "valid_from": "2026-11-01T00:00:00Z"}, "valid_from", "must be a date"),
    ({"weekdays": [2], "valid_from": 20261101}, "valid_from", "must be a date"),
    ({"weekdays": [2], "time_zone": "Europe/Atlantis"}, "time_zone", "IANA"),
    ({"weekdays": [2], "note": "x" * 1001}, "note", "at most 1000 characters"),
    ({"weekdays": [2], "note": "\0"}, "note", "pattern"),
    ({"weekdays": [2], "gateway_id": "GW 1"}, "gateway_id", "pattern"),
    ({"weekdays": [2], "gateway_id": "GW-1", "property_id": str(uuid4())}, "gateway_id", "property_id is given too"),
    ({"weekdays": [2], "property_id": "no-uuid"}, "property_id", "valid UUID"),
    ({"weekdays": [2], "week_days": [2]}, "week_days", "Unexpected keyword argument"),
]


@pytest.mark.parametrize(("wanted", "field", "says"), BAD, ids=range(len(BAD)))
async def test_what_a_window_cannot_be_is_refused_by_the_name_of_its_field(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    building: Building,
    wanted: dict[str, Any],
    field: str,
    says: str,
) -> None:
    answer = await client.post("/maintenance-windows", headers=headers(building.tenant_id), json=wanted)
    assert answer.status_code == 422, answer.text
    assert [(error["location"], error["field"]) for error in answer.json()["errors"]] == [("body", field)]
    assert says in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("kind", TARGETS)
async def test_what_another_tenant_has_is_no_target_as_what_nobody_has(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, kind: str
) -> None:
    theirs, elsewhere = await create_building(engine), await building_beside(engine, building)
    whole, narrowed = headers(building.tenant_id), headers(building.tenant_id, property_ids=[building.property_id])
    here = await client.post("/maintenance-windows", headers=whole, json={**ONCE, **target(building, "property_id")})
    nobodys = "GW-none" if kind == "gateway_id" else str(uuid4())
    for caller, foreign in ((whole, theirs), (narrowed, elsewhere)):
        for method, at in (("POST", "/maintenance-windows"), ("PUT", here.headers["Location"])):
            answers = [
                (await client.request(method, at, headers=caller, json={**ONCE, kind: one})).text
                for one in (nobodys, target(foreign, kind)[kind])
            ]
            assert answers[0] == answers[1]
            assert f"there is no such {kind.removesuffix('_id')}" in answers[0]


async def test_what_was_removed_is_no_target(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    for table in ("meter_installation", "gateway", "property"):
        await change(engine, f"UPDATE {table} SET deleted_at = now()")
    for kind in TARGETS:
        wanted = {**ONCE, **target(building, kind)}
        answer = await client.post("/maintenance-windows", headers=headers(building.tenant_id), json=wanted)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, kind)


async def test_a_narrowed_caller_sees_what_concerns_it_and_changes_what_is_of_its_properties_only(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    whole, narrowed = headers(building.tenant_id), headers(building.tenant_id, property_ids=[building.property_id])
    elsewhere, shared = [await building_beside(engine, building) for _ in range(2)]
    # This gateway is to hear a meter here, too.
    await change(
        engine,
        "UPDATE meter_installation SET gateway_id = :gateway WHERE id = :meter",
        gateway=shared.gateway_id,
        meter=building.installation_ids[1],
    )

    async def make(caller: dict[str, str], of: dict[str, Any]) -> httpx2.Response:
        return await client.post("/maintenance-windows", headers=caller, json={**ONCE, **of})

    seen = [(await make(whole, it)).json()["id"] for it in ({}, target(shared, "gateway_id"))]
    hidden = [(await make(whole, target(elsewhere, kind))).json()["id"] for kind in TARGETS]
    here = [await make(narrowed, target(building, kind)) for kind in TARGETS]
    assert [one.status_code for one in here] == [201, 201, 201]
    listed = (await client.get("/maintenance-windows", headers=narrowed)).json()["items"]
    assert {one["id"] for one in listed} == {*seen, *(one.json()["id"] for one in here)}
    for window_id in hidden:
        for method in ("GET", "PUT", "DELETE"):
            answer = await client.request(method, f"/maintenance-windows/{window_id}", headers=narrowed, json=ONCE)
            assert answer.status_code == 404
    refused = [
        await make(narrowed, {}),
        await make(narrowed, target(shared, "gateway_id")),
        await client.put(here[0].headers["Location"], headers=narrowed, json=ONCE),
        *[
            await client.put(
                f"/maintenance-windows/{one}", headers=narrowed, json={**ONCE, **target(building, "property_id")}
            )
            for one in seen
        ],
        *[await client.delete(f"/maintenance-windows/{one}", headers=narrowed) for one in seen],
    ]
    for answer in refused:
        assert (answer.status_code, "narrowed" in answer.json()["detail"]) == (403, True)
    # A meter that was taken out does not count.
    await change(
        engine, "UPDATE meter_installation SET deleted_at = now() WHERE id = ANY (:ids)", ids=shared.installation_ids
    )
    for one, kind in zip(here, TARGETS, strict=True):
        wanted = {**ONCE, **target(building, kind)}
        assert (await client.put(one.headers["Location"], headers=narrowed, json=wanted)).status_code == 200
    assert (await client.delete(f"/maintenance-windows/{seen[1]}", headers=narrowed)).status_code == 204


async def test_a_tenant_has_so_many_windows_that_are_not_over_and_no_more(
    settings: AlertsSettings, headers: Headers, engine: AsyncEngine, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_windows, "MOST", 3)
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    app = create_app(settings, clock=lambda: now)
    ours = headers(building.tenant_id, lifetime=timedelta(days=3650))
    theirs = await create_building(engine)
    async with app.router.lifespan_context(app), client_of(app) as client:

        async def make(wanted: dict[str, Any], caller: dict[str, str] = ours) -> int:
            return (await client.post("/maintenance-windows", headers=caller, json=wanted)).status_code

        assert await make(ONCE, headers(theirs.tenant_id)) == 201
        assert [
            await make(one) for one in (ONCE, {"weekdays": [1]}, {"weekdays": [1], "valid_until": "2026-11-05"})
        ] == [
            201,
            201,
            201,
        ]
        assert await make(ONCE) == 409
        now += timedelta(hours=4)
        assert [await make(ONCE) for _ in range(2)] == [201, 201], "the first is over, and so is each of these"
        assert [await make({"weekdays": [1]}) for _ in range(2)] == [201, 409]
        now += 5 * DAY
        assert await make({"weekdays": [1]}) == 409
        now += 2 * DAY
        assert await make({"weekdays": [1]}) == 201


async def test_the_service_reads_the_windows_of_a_tenant_with_its_time_zone_where_they_name_none(
    *,
    client: httpx2.AsyncClient,
    headers: Headers,
    engine: AsyncEngine,
    database: Database,
    building: Building,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = await create_building(engine)
    await change(engine, "UPDATE tenant SET time_zone = 'Atlantic/Reykjavik' WHERE id = :id", id=building.tenant_id)
    made = {}
    for tenant_id, name, wanted in (
        (building.tenant_id, "once", {**ONCE, **target(building, "installation_id")}),
        (building.tenant_id, "nights", {**NIGHTS, **target(building, "gateway_id")}),
        (building.tenant_id, "days", {"weekdays": [1], **target(building, "property_id")}),
        (building.tenant_id, "broken", {"weekdays": [3]}),
        (theirs.tenant_id, "theirs", ONCE),
    ):
        answer = await client.post("/maintenance-windows", headers=headers(tenant_id), json=wanted)
        made[name] = answer.json()["id"]
    await change(engine, "UPDATE maintenance_window SET time_zone = 'Atlantis' WHERE id = :id", id=made["broken"])
    async with (
        open_engine(database.alerts_url, application_name="mbus-tests") as alerts,
        alerts.connect() as connection,
    ):
        windows = {str(one.id): one for one in await read_windows(connection, building.tenant_id)}
        ends = windows[made["once"]].active_until(datetime(2026, 11, 1, 8, tzinfo=UTC))
        assert ends == datetime(2026, 11, 1, 15, 30, tzinfo=UTC)
        later = await read_windows(connection, building.tenant_id, after=ends)
        earlier = await read_windows(connection, building.tenant_id, after=ends - DAY)
    assert windows.keys() == {made[name] for name in ("once", "nights", "days")}
    assert {str(one.id) for one in later} == {made[name] for name in ("nights", "days")}
    assert len(earlier) == len(windows)
    assert "maintenance_window_ignored" in capsys.readouterr().out
    times = {name: windows[made[name]].times for name in ("once", "nights", "days")}
    assert isinstance(times["once"], Once)
    assert isinstance(times["nights"], Recurring)
    assert isinstance(times["days"], Recurring)
    assert (times["nights"].time_zone, times["days"].time_zone) == ("Atlantic/Faroe", "Atlantic/Reykjavik")
    assert (str(times["nights"].valid_from), str(times["nights"].valid_until)) == ("2026-11-01", "2027-03-31")
    assert (times["nights"].weekdays, times["days"].hours) == (frozenset({6, 7}), None)
    of = [(one.installation_id, one.property_id, one.gateway_id) for name, one in windows.items()]
    assert set(of) == {
        (building.installation_ids[0], None, None),
        (None, building.property_id, None),
        (None, None, building.gateway_id),
    }


HELD = """
    INSERT INTO delivery (id, tenant_id, subscription_id, event_type, event, wanted_since, next_attempt_at, held_by,
                          delivered_at)
    VALUES (gen_random_uuid(), :tenant, :subscription, 'installation.stale', '{}', now(), now() + interval '1 day', :by,
            :delivered)
"""
WAITING = """
    SELECT held_by::text, count(*) FROM delivery WHERE next_attempt_at > now() + interval '1 hour' GROUP BY 1
"""


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_a_window_held_is_looked_at_again_when_it_is_changed_or_removed(
    client: httpx2.AsyncClient, headers: Headers, engine: AsyncEngine, building: Building, method: str
) -> None:
    ours = headers(building.tenant_id)
    changed, other = [
        (await client.post("/maintenance-windows", headers=ours, json=ONCE)).json()["id"] for _ in range(2)
    ]
    of = {"tenant": building.tenant_id, "subscription": await add_webhook(engine, building.tenant_id)}
    for by, delivered in ((changed, None), (changed, None), (changed, utc_now()), (other, None)):
        await change(engine, HELD, **of, by=UUID(by), delivered=delivered)
    assert sorted(await rows(engine, WAITING)) == sorted([(changed, 3), (other, 1)])
    answer = await client.request(method, f"/maintenance-windows/{changed}", headers=ours, json=ONCE)
    assert answer.status_code in {200, 204}
    assert sorted(await rows(engine, WAITING)) == sorted([(changed, 1), (other, 1)])


@pytest.mark.parametrize(
    "values",
    [
        "weekdays, starts_at, ends_at) VALUES (:tenant, '{1}', now(), now() + interval '1 day'",
        "weekdays) VALUES (:tenant, '{}'",
        "weekdays) VALUES (:tenant, '{8}'",
        "weekdays, starts_at) VALUES (:tenant, '{}', now()",
        "weekdays, ends_at) VALUES (:tenant, '{1}', now()",
        "starts_at, ends_at) VALUES (:tenant, now(), now()",
        "starts_at, ends_at, time_zone) VALUES (:tenant, now(), now() + interval '1 day', 'UTC'",
        "weekdays, from_time) VALUES (:tenant, '{1}', '08:00'",
        "weekdays, from_time, until_time) VALUES (:tenant, '{1}', '08:00', '08:00'",
        "weekdays, valid_from, valid_until) VALUES (:tenant, '{1}', '2026-11-02', '2026-11-01'",
    ],
)
async def test_the_database_takes_no_window_that_cannot_be(
    engine: AsyncEngine, building: Building, values: str
) -> None:
    with pytest.raises(IntegrityError):
        await change(engine, f"INSERT INTO maintenance_window (tenant_id, {values})", tenant=building.tenant_id)
