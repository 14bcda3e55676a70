"""One run of the bench: a page of readings by each server in turns, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from benchmarks.database import BenchDatabase, open_database
from benchmarks.query.calls import LIMIT, readings_calls
from benchmarks.query.client import Call, Load
from benchmarks.query.data import Extent, make_data
from benchmarks.query.full import FullResult, FullSize, run_full
from benchmarks.query.sameness import check_sameness
from benchmarks.query.servers import Server, anchor, drive, our_server
from shared.database import open_engine

MILLION = Extent(tenants=10, properties=1, heard=400, hours=2_500)
FEW_YEARS = Extent(tenants=1, properties=3, heard=114, hours=8_784)
"""A million readings: a year's of nearly all of 120 installations."""
MANY_YEARS = Extent(tenants=1, properties=2_500, heard=2_280, hours=8_784)
"""20 million: a year's of 2,280 among 100,000 installations."""
CHECKED_CALLS = 20
WARM_S = 1.0
"""In which plans are made, caches filled and pools opened; it is not counted."""
NOOP_S = 1.0
HEADROOM = 1.5
"""A client that drives an endpoint that does nothing less than so many times as fast is part of what is measured."""
BUSY_CLIENT = 0.8

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured: `rounds` of `seconds` for each server, by a client with so many `connections`."""

    extent: Extent
    rounds: int
    seconds: float
    connections: int


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """The figures of a page of 100 readings: medians over the rounds, ratios medians of each round's own ratio."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    orm_per_s: float
    orm_p50_ms: float
    orm_p99_ms: float
    json_in_sql_per_s: float
    json_in_sql_p50_ms: float
    json_in_sql_p99_ms: float
    ratio_to_orm: float
    ratio_to_json_in_sql: float
    noop_per_s: float
    client_cpu_share: float
    client_was_the_limit: bool
    connections: int
    readings: int
    hypertable: bool
    postgresql: str
    full: FullResult | None = None


async def run_bench(server_url: str, size: Size, *, hypertable: bool, full: FullSize | None, tell: Tell) -> QueryResult:
    """Measure on the server of `server_url`, an administrator's.

    `hypertable` where TimescaleDB is loaded; with `full` what takes minutes and a few gigabytes.
    """
    result = await _run(server_url, size, hypertable=hypertable, tell=tell)
    if full is None:
        return result
    return replace(result, full=await run_full(server_url, full, hypertable=result.hypertable, tell=tell))


async def _run(server_url: str, size: Size, *, hypertable: bool, tell: Tell) -> QueryResult:
    async with open_database(server_url, "query", hypertable=hypertable) as database:
        kind = "a hypertable" if database.is_hypertable else "a plain table"
        tell(f"PostgreSQL {database.server}, `reading` is {kind}")
        async with open_engine(database.owner_url, application_name="mbus-bench") as engine:
            heard = await make_data(engine, size.extent, tell)
        async with (
            our_server(database) as ours,
            anchor("orm", database) as orm,
            anchor("json_in_sql", database) as floor,
            anchor("noop", database) as noop,
        ):
            rounds = await _measure(readings_calls(heard, ours), size, (ours, orm, floor), noop, tell)
    return _result(database, size, rounds, tell)


async def _measure(
    calls: Sequence[Call], size: Size, servers: tuple[Server, Server, Server], noop: Server, tell: Tell
) -> list[list[Load]]:
    """The loads of each round: of our server, of the ORM's, of the floor, and of the one that does nothing."""
    await check_sameness(servers, calls[:CHECKED_CALLS], limit=LIMIT)
    tell(f"the three answer the same {LIMIT} readings")
    for server in (*servers, noop):
        await drive(server, calls, connections=size.connections, seconds=min(WARM_S, size.seconds))
    rounds: list[list[Load]] = []
    for number in range(size.rounds):
        loads = [await drive(server, calls, connections=size.connections, seconds=size.seconds) for server in servers]
        idle = await drive(noop, calls, connections=size.connections, seconds=min(NOOP_S, size.seconds))
        rounds.append([*loads, idle])
        ours, orm, floor = (load.requests_per_s for load in loads)
        tell(
            f"round {number + 1}: {ours:,.0f} pages/s, {ours / orm:.1f} times the ORM's {orm:,.0f},"
            f" {ours / floor:.2f} of the {floor:,.0f} with JSON by PostgreSQL"
        )
    return rounds


def _result(database: BenchDatabase, size: Size, rounds: Sequence[Sequence[Load]], tell: Tell) -> QueryResult:
    ours, orm, floor, idle = ([loads[index] for loads in rounds] for index in range(4))
    fastest, noop_per_s = max(_rate(ours), _rate(orm), _rate(floor)), _rate(idle)
    busy = max(load.cpu_share for load in (*ours, *orm, *floor))
    was_the_limit = noop_per_s < HEADROOM * fastest or busy > BUSY_CLIENT
    if was_the_limit:
        tell(f"the client was the limit: {noop_per_s:,.0f}/s where nothing is done, {busy:.0%} of a processor")
    return QueryResult(
        requests_per_s=_rate(ours),
        p50_ms=median(load.p50_ms for load in ours),
        p99_ms=median(load.p99_ms for load in ours),
        orm_per_s=_rate(orm),
        orm_p50_ms=median(load.p50_ms for load in orm),
        orm_p99_ms=median(load.p99_ms for load in orm),
        json_in_sql_per_s=_rate(floor),
        json_in_sql_p50_ms=median(load.p50_ms for load in floor),
        json_in_sql_p99_ms=median(load.p99_ms for load in floor),
        ratio_to_orm=_ratio(ours, orm),
        ratio_to_json_in_sql=_ratio(ours, floor),
        noop_per_s=noop_per_s,
        client_cpu_share=busy,
        client_was_the_limit=was_the_limit,
        connections=size.connections,
        readings=size.extent.readings,
        hypertable=database.is_hypertable,
        postgresql=database.server,
    )


def _rate(loads: Sequence[Load]) -> float:
    return median(load.requests_per_s for load in loads)


def _ratio(loads: Sequence[Load], others: Sequence[Load]) -> float:
    pairs = zip(loads, others, strict=True)
    return round(median(load.requests_per_s / other.requests_per_s for load, other in pairs), 3)


def as_json(result: QueryResult) -> dict[str, Any]:
    """The figures under the names that programs read."""
    return asdict(result)
