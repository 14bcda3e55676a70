"""Either lock alone keeps consumption of what is not within reach from a caller: the filters, or the policies."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from services.query.queries import counters
from services.query.queries.consumption import (
    Wanted,
    consumption_of_installation,
    consumption_of_property,
    consumption_of_unit,
)
from services.query.queries.properties import WITHIN_REACH
from services.query.rules.calendar import Bucket
from services.query.rules.period import Period
from shared.http.reach import Reach
from tests.services.query.consumption import OCTOBER, change, flat_with_three_meters
from tests.support.databases import Database
from tests.support.registry import Building

WANTED = Wanted(
    Period(Bucket.DAY, date(2026, 10, 1), date(2026, 10, 4)),
    ZoneInfo("Europe/Copenhagen"),
    timedelta(days=2),
    now=OCTOBER,
)
TABLES = ("tenant", "property", "property_config", "unit", "meter_installation")


@pytest.fixture
async def query_database(database: Database) -> AsyncIterator[QueryDatabase]:
    opened = QueryDatabase(database.query_url, service_role="mbus_query")
    async with opened.open():
        yield opened


async def take_policies_away(engine: AsyncEngine, _: pytest.MonkeyPatch) -> None:
    for table in TABLES:
        await change(engine, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


async def take_filters_away(_: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = (WITHIN_REACH, "i.tenant_id = $1")
    for name in ("PLACES", "METERS"):
        statements = getattr(counters, name)
        for kind, statement in statements.items():
            assert any(filter_ in statement for filter_ in taken)
            open_to_all = statement
            for filter_ in taken:
                open_to_all = open_to_all.replace(filter_, "$1::uuid IS NOT NULL")
            if name == "PLACES":
                open_to_all = f"{open_to_all} AND ($2::uuid[] IS NULL OR true)"
            monkeypatch.setitem(statements, kind, open_to_all)


@pytest.mark.parametrize("take_away", [None, take_policies_away, take_filters_away])
async def test_what_is_within_reach_is_found_and_nothing_else(
    *,
    query_database: QueryDatabase,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    take_away: object,
) -> None:
    ours, theirs = await flat_with_three_meters(engine), await flat_with_three_meters(engine)
    # What was there before one of ours is theirs, by mistake.
    await change(
        engine,
        "UPDATE meter_installation SET replaces_id = :theirs WHERE id = :ours",
        theirs=theirs.installation_ids[0],
        ours=ours.installation_ids[0],
    )
    if take_away is not None:
        assert callable(take_away)
        await take_away(engine, monkeypatch)

    async def found(reach: Reach, building: Building) -> set[bool]:
        """Whether the building's consumption is found, in each of the ways to ask for it."""
        one = await consumption_of_installation(
            query_database, reach=reach, installation_id=building.installation_ids[0], wanted=WANTED
        )
        flat = await consumption_of_unit(query_database, reach=reach, unit_id=building.unit_id, wanted=WANTED)
        houses = [
            await consumption_of_property(
                query_database, reach=reach, property_id=building.property_id, wanted=WANTED, each_unit=each_unit
            )
            for each_unit in (False, True)
        ]
        if one is not None:
            assert one.total.consumption == 6
        for it in (flat, *houses):
            if it is not None:
                assert [series.total.meters for series in it.series] == [1, 2]
        return {it is not None for it in (one, flat, *houses)}

    def narrowed(*property_ids: UUID) -> Reach:
        return Reach(ours.tenant_id, frozenset(property_ids))

    for reach in (Reach(ours.tenant_id), narrowed(ours.property_id), narrowed(ours.property_id, theirs.property_id)):
        assert await found(reach, ours) == {True}
        assert await found(reach, theirs) == {False}
    for reach in (narrowed(), narrowed(theirs.property_id)):
        assert await found(reach, ours) == await found(reach, theirs) == {False}
