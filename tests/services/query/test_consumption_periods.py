"""The period of consumption: by whose clocks it is cut, what is a gap in it, and what cannot be asked for."""

from datetime import UTC, datetime
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.http.tokens import issue_token
from tests.services.query.conftest import client_of
from tests.services.query.consumption import (
    DAY,
    HOUR,
    OCTOBER,
    Asks,
    add_values,
    amounts,
    change,
    flat_with_three_meters,
)
from tests.support.registry import Building, add_meter
from tests.support.tokens import SECRET, Headers


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await flat_with_three_meters(engine)


@pytest.fixture
def asks(client: httpx2.AsyncClient, headers: Headers, building: Building) -> Asks:
    return Asks(client, headers(building.tenant_id))


@pytest.mark.parametrize(
    ("longest_gap_s", "amount", "flags"), [(36 * 3600, 40 / 3, []), (36 * 3600 - 1, None, ["gap"])]
)
async def test_a_bucket_that_ends_in_a_gap_longer_than_the_setting_is_not_known(
    *,
    settings: QuerySettings,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    longest_gap_s: int,
    amount: float | None,
    flags: list[str],
) -> None:
    meter = building.installation_ids[1]
    await add_values(engine, meter, {OCTOBER + 4 * DAY: 40, OCTOBER + 5.5 * DAY: 60, OCTOBER + 6 * DAY: 70})
    app = create_app(settings.model_copy(update={"longest_gap_s": longest_gap_s}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        asks = Asks(client, headers(building.tenant_id))
        told = await asks.found(f"/installations/{meter}", from_="2026-10-04", to="2026-10-06")
        whole = await asks.found(f"/installations/{meter}", from_="2026-10-04", to="2026-10-07")
    assert amounts(told) == [10, amount if amount is None else pytest.approx(amount, abs=1e-6)]
    assert [it["flags"] for it in told["buckets"]] == [[], flags]
    # What went through the gap is known beyond it.
    assert whole["total"] == {"consumption": 40, "flags": []}


@pytest.mark.parametrize(
    ("of_property", "of_tenant", "zone"),
    [
        (None, "Europe/Oslo", "Europe/Oslo"),
        ("Asia/Tokyo", "Europe/Oslo", "Asia/Tokyo"),
        ("Europe/Atlantis", "Europe/Oslo", "Europe/Oslo"),
        (None, "../../etc/passwd", "Europe/Copenhagen"),
    ],
)
async def test_days_begin_by_the_clocks_of_the_property_or_else_of_the_tenant(
    *, asks: Asks, engine: AsyncEngine, building: Building, of_property: str | None, of_tenant: str, zone: str
) -> None:
    await change(engine, "UPDATE property_config SET time_zone = :zone", zone=of_property)
    await change(engine, "UPDATE tenant SET time_zone = :zone", zone=of_tenant)
    for path in (f"/installations/{building.installation_ids[0]}", f"/units/{building.unit_id}"):
        told = await asks.found(path, from_="2026-10-01", to="2026-10-02")
        assert told["time_zone"] == zone
        assert told["start"] == ("2026-09-30T15:00:00Z" if zone == "Asia/Tokyo" else "2026-09-30T22:00:00Z")
        assert (await asks.found(path, time_zone="America/Nuuk"))["time_zone"] == "America/Nuuk"


async def test_a_property_without_config_lives_by_its_tenants_clocks(
    asks: Asks, engine: AsyncEngine, building: Building
) -> None:
    await change(engine, "DELETE FROM property_config")
    told = await asks.found(f"/properties/{building.property_id}", from_="2026-10-01", to="2026-10-02")
    assert told["time_zone"] == "Europe/Copenhagen"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
async def test_a_day_in_which_the_clocks_change_has_as_many_hours_and_they_add_up_to_it(
    asks: Asks, engine: AsyncEngine, building: Building, day: str, hours: int
) -> None:
    meter = await add_meter(engine, building, "hourly")
    noon_before = datetime.fromisoformat(f"{day}T12:00:00Z") - DAY
    await add_values(engine, meter, {noon_before + n * HOUR: n + n * n / 1000 for n in range(48)})
    period = {"from_": day, "to": str((datetime.fromisoformat(day) + DAY).date())}
    by_hour, by_day = [await asks.found(f"/installations/{meter}", bucket=it, **period) for it in ("hour", "day")]
    assert len(by_hour["buckets"]) == hours
    assert sum(round(1e6 * one) for one in amounts(by_hour) if one) == round(1e6 * by_day["total"]["consumption"])
    assert amounts(by_day) == [by_day["total"]["consumption"]] == [by_hour["total"]["consumption"]]


@pytest.mark.parametrize(
    ("bucket", "start"),
    [
        ("hour", "2026-10-23T21:00:00Z"),
        ("day", "2026-09-24T22:00:00Z"),
        ("week", "2026-07-26T22:00:00Z"),
        ("month", "2025-09-30T22:00:00Z"),
    ],
)
async def test_a_period_ends_now_and_begins_a_usual_number_of_buckets_before(
    settings: QuerySettings, building: Building, bucket: str, start: str
) -> None:
    now = datetime(2026, 10, 25, 20, 30, tzinfo=UTC)
    token = issue_token(
        secret=SECRET,
        audience="mbus",
        issuer=None,
        subject="tests",
        tenant_id=building.tenant_id,
        scopes=["readings:read"],
        now=now,
        lifetime=HOUR,
    )
    app = create_app(settings, clock=lambda: now)
    async with app.router.lifespan_context(app), client_of(app) as client:
        asks = Asks(client, {"Authorization": f"Bearer {token}"})
        told = await asks.found(f"/installations/{building.installation_ids[0]}", bucket=bucket)
    assert (told["start"], told["end"]) == (start, "2026-10-25T20:30:00Z")


@pytest.mark.parametrize(
    ("parameters", "field", "detail"),
    [
        ({"bucket": "year"}, "bucket", "'hour', 'day', 'week' or 'month'"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone", "IANA"),
        ({"time_zone": "europe/copenhagen"}, "time_zone", "IANA"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "IANA"),
        ({"from_": "yesterday"}, "from", "or a date, such as 2026-11-01"),
        ({"from_": "2026-02-30"}, "from", "or a date, such as 2026-11-01"),
        ({"to": "2026-10-01T05:00:00"}, "to", "must have an offset"),
        ({"from_": "2026-10-02", "to": "2026-10-02"}, "from", "earlier than `to`"),
        ({"from_": "2999-01-01"}, "from", "earlier than `to`"),
        ({"from_": "0001-01-01"}, "from", "in the years 1970 to 2999"),
        ({"to": "9999-12-31"}, "to", "in the years 1970 to 2999"),
        ({"bucket": "hour", "from_": "2020-01-01", "to": "2026-01-01"}, "bucket", "more than 10000 buckets"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(
    asks: Asks, building: Building, parameters: dict[str, str], field: str, detail: str
) -> None:
    answer = await asks.answer(f"/installations/{building.installation_ids[0]}", **parameters)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert detail in error["detail"]


async def test_the_more_meters_there_are_the_fewer_buckets_can_be_asked_for(
    asks: Asks, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.query.queries.consumption.MOST_IN_ALL", 7)
    path = f"/properties/{building.property_id}"
    assert (await asks.answer(path, from_="2026-10-01", to="2026-10-03")).status_code == 200
    answer = await asks.answer(path, from_="2026-10-01", to="2026-10-04")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "bucket")
    assert "more than 2 buckets" in answer.json()["detail"]
    monkeypatch.setattr("services.query.queries.consumption.MOST_BUCKETS", 1)
    answer = await asks.answer(path, from_="2026-10-01", to="2026-10-03")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "bucket")


@pytest.mark.parametrize("kind", ["installation", "unit", "property"])
async def test_what_is_not_there_is_a_404(asks: Asks, kind: str) -> None:
    answer = await asks.answer(f"/{kind.replace('property', 'propertie')}s/{uuid4()}")
    assert (answer.status_code, answer.json()["detail"]) == (404, f"No such {kind}.")
