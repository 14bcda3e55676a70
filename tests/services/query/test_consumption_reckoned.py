"""What the database leaves of the readings and what the rules make of it is what all readings say, naively reckoned."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.database import QueryDatabase
from services.query.queries.consumption import Wanted, consumption_of_installation, consumption_of_property
from services.query.rules.calendar import Bucket
from services.query.rules.counter import MICRO, Amount, Flag, Part, Shown
from services.query.rules.period import Period
from shared.http.reach import Reach
from shared.units import ratio
from tests.services.query.naive_consumption import naively
from tests.support.databases import Database
from tests.support.reading_plans import MAKE_PLAIN
from tests.support.registry import Building, create_building

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
GAP = timedelta(hours=30)
ZONE = ZoneInfo("Europe/Copenhagen")
# Nights in which the zone changes its clocks.
NIGHTS = (datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC))
UNITS = {"heat": ("Wh", "kWh", "MWh", "GJ"), "heat_cost_allocator": ("hca",)}


@dataclass
class Mounted:
    """One meter of a chain, and all that it sent, also what does not count."""

    unit: str
    since: datetime
    until: datetime | None
    sent: list[Shown]
    id: UUID = field(default_factory=uuid4)

    def counted(self, *, is_first: bool) -> list[Shown]:
        return [
            one
            for one in self.sent
            if (is_first or one.at >= self.since) and (self.until is None or one.at < self.until)
        ]


@dataclass
class Chain:
    medium: str
    meters: list[Mounted]

    def parts(self, unit: str) -> list[Part]:
        return [
            Part(
                meter.counted(is_first=meter is self.meters[0]),
                ratio(meter.unit, unit),
                resets=self.medium == "heat_cost_allocator",
            )
            for meter in self.meters
        ]


def some_chain(random: Random, start: datetime) -> Chain:
    """Up to three meters over ten days, with gaps, falls, and readings of each from beyond its own time."""
    medium = random.choice(sorted(UNITS))
    exchanges = sorted(start + random.randrange(10 * 24 * 60) * MINUTE for _ in range(random.choice([0, 0, 1, 2])))
    meters = []
    for since, until in pairwise([start, *exchanges, None]):
        assert since is not None
        micros, sent = random.randrange(-5, 10**9), []
        at = since - random.randrange(60) * MINUTE
        while at < (until or start + 10 * 24 * HOUR) + HOUR:
            sent.append(Shown(at, micros))
            micros = random.choice([micros, micros + random.randrange(10**6), micros + random.randrange(10**8)])
            if random.random() < 0.03:
                micros = random.randrange(-5, 10**6)
            at += random.choice([HOUR, HOUR, HOUR, 37 * MINUTE, 5 * HOUR, random.randrange(1, 50) * HOUR])
        meters.append(Mounted(random.choice(UNITS[medium]), since, until, sent))
    return Chain(medium, meters)


async def mount(connection: "asyncpg.Connection[asyncpg.Record]", building: Building, chain: Chain) -> None:
    before = None
    for meter in chain.meters:
        await connection.execute(
            "INSERT INTO meter_installation (id, tenant_id, unit_id, meter_serial, medium, unit_of_measure,"
            " installed_at, deleted_at, replaces_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *(meter.id, building.tenant_id, building.unit_id, meter.id.hex, chain.medium, meter.unit),
            *(meter.since, meter.until, before),
        )
        await connection.executemany(
            "INSERT INTO reading VALUES ($1, $2, $3, now())",
            [(meter.id, one.at, one.micros / MICRO) for one in meter.sent],
        )
        before = meter.id


@pytest.fixture
async def query_database(database: Database) -> AsyncIterator[QueryDatabase]:
    opened = QueryDatabase(database.query_url, service_role="mbus_query")
    async with opened.open():
        yield opened


def wanted(random: Random, night: datetime) -> Wanted:
    start = night + random.randrange(-6 * 24 * 60, 24 * 60) * MINUTE
    end = start + random.randrange(1, 6 * 24 * 60) * MINUTE
    return Wanted(Period(random.choice(list(Bucket)), start, end), ZONE, GAP, now=end)


def told(amounts: Sequence[Amount]) -> list[tuple[float | None, list[Flag]]]:
    return [(None if micros is None else micros / MICRO, sorted(flags)) for micros, flags in amounts]


@pytest.mark.parametrize("table", ["as migrated", "as a plain table"])
async def test_installations_and_their_property_are_told_what_all_readings_say(
    query_database: QueryDatabase, database: Database, engine: AsyncEngine, table: str
) -> None:
    random = Random(4711)
    connection = await asyncpg.connect(database.owner_url)
    if table == "as a plain table":
        await connection.execute(MAKE_PLAIN)
    for number in range(24):
        night = NIGHTS[number % 2]
        building = await create_building(engine, meters=0)
        reach = Reach(building.tenant_id)
        chains = [some_chain(random, night - 5 * 24 * HOUR) for _ in range(random.choice([1, 2, 4]))]
        for chain in chains:
            await mount(connection, building, chain)
        for _ in range(4):
            asked = wanted(random, night)
            assert asked.zone is not None
            edges = asked.period.edges(asked.zone, now=asked.now, most=10_000)
            spans = [(edges[0], edges[-1]), *pairwise(edges)]

            def reckoned(chain: Chain, unit: str, spans: Sequence[tuple[datetime, datetime]] = spans) -> list[Amount]:
                return [naively(chain.parts(unit), *span, longest_gap=GAP) for span in spans]

            for chain in chains:
                newest = chain.meters[-1]
                one = await consumption_of_installation(
                    query_database, reach=reach, installation_id=newest.id, wanted=asked
                )
                assert one is not None
                found = [(it.consumption, it.flags) for it in one.buckets]
                assert [(one.total.consumption, one.total.flags), *found] == told(reckoned(chain, newest.unit)), (
                    number,
                    chain,
                    asked,
                )

            house = await consumption_of_property(
                query_database, reach=reach, property_id=building.property_id, wanted=asked, each_unit=False
            )
            assert house is not None
            for series in house.series:
                together = [
                    reckoned(chain, series.unit_of_measure) for chain in chains if chain.medium == series.medium
                ]
                sums = [(it.consumption, it.meters - it.unknown) for it in series.buckets]
                for it, amounts in zip(
                    [(series.total.consumption, series.total.meters - series.total.unknown), *sums],
                    zip(*together, strict=True),
                    strict=True,
                ):
                    known = [amount.micros for amount in amounts if amount.micros is not None]
                    assert it == (sum(known) / MICRO if known else None, len(known))
    await connection.close()
