"""One run of the bench: anchors and ingest in turns, and what came of it."""

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.errors import BenchError
from benchmarks.ingest.anchors import copy_only, row_at_a_time
from benchmarks.ingest.drain import Batches, drain_by_ingest, drain_by_noop, encoded, fill
from benchmarks.ingest.full import FullResult, check_rows, empty, run_full
from benchmarks.ingest.load import Fleet, Row, body, messages, register_fleet
from benchmarks.place import BenchServers, Place, open_place
from shared.database import open_engine

GATEWAYS = 20
METERS = 150
SEED = 1
ROW_AT_A_TIME_ROWS = 6_000


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is sent: `rounds` times `messages` of `readings` each, and `singles` with one reading."""

    messages: int
    readings: int
    rounds: int
    singles: int


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """The figures; rates are medians over the rounds, ratios medians of each round's own ratio."""

    readings_per_s: float
    copy_only_per_s: float
    row_at_a_time_per_s: float
    ratio_to_copy: float
    ratio_to_row_at_a_time: float
    single_readings_per_s: float
    noop_messages_per_s: float
    ratio_to_noop: float
    peak_rss_mib: float
    cpu_s_per_100k_readings: float
    batch_sizes: Batches
    readings_per_message: int
    readings: int
    hypertable: bool
    postgresql: str
    full: FullResult | None = None


async def run_bench(
    servers: BenchServers, size: Size, *, hypertable: bool, full: bool, tell: Callable[[str], None]
) -> IngestResult:
    """Measure; `hypertable` where TimescaleDB is loaded, and with `full` what takes minutes and a few gigabytes."""
    result = await _run(servers, size, hypertable=hypertable, tell=tell)
    if not full:
        return result
    more = await run_full(servers, gateways=GATEWAYS, meters=METERS, hypertable=hypertable, tell=tell)
    return replace(result, full=more)


async def _run(servers: BenchServers, size: Size, *, hypertable: bool, tell: Callable[[str], None]) -> IngestResult:
    async with (
        open_place(servers, hypertable=hypertable) as place,
        open_engine(place.owner_url, application_name="mbus-bench") as engine,
    ):
        tell(f"PostgreSQL {place.server}, `reading` is {'a hypertable' if place.is_hypertable else 'a plain table'}")
        fleet = await register_fleet(engine, gateways=GATEWAYS, meters=METERS)
        return await _measure(place, engine, fleet, size, tell)


async def _measure(
    place: Place, engine: AsyncEngine, fleet: Fleet, size: Size, tell: Callable[[str], None]
) -> IngestResult:
    load = list(messages(fleet, count=size.messages, readings=size.readings, seed=SEED))
    rows = [row for _, of_message in load for row in of_message]
    bodies = list(encoded((gateway_id, body(gateway_id, of_message)) for gateway_id, of_message in load))
    del load
    gc.freeze()  # the collector would look at all of these again and again, on the anchors' time
    copied, drained = [], []
    for number in range(size.rounds):
        copied.append(await copy_only(place.owner_url, rows))
        tell(f"round {number + 1}: COPY alone {copied[-1]:,.0f} readings/s")
        await empty(engine)
        await fill(place, bodies)
        drained.append(await drain_by_ingest(place, expected=size.messages))
        await check_rows(engine, len(rows))
        speed = drained[-1].readings_per_s(size.readings)
        tell(f"round {number + 1}: ingest {speed:,.0f} readings/s, {speed / copied[-1]:.2f} of COPY")
    single_rate = await row_at_a_time(engine, rows[:ROW_AT_A_TIME_ROWS])
    tell(f"one upsert a row: {single_rate:,.0f} readings/s")
    noop, ours = await _singles(place, engine, rows[: size.singles], fleet, tell)
    rates = [one.readings_per_s(size.readings) for one in drained]
    best = max(drained, key=lambda one: one.messages_per_s)
    if best.batches is None:
        raise BenchError("ingest told nothing of its batches")
    return IngestResult(
        readings_per_s=round(median(rates)),
        copy_only_per_s=round(median(copied)),
        row_at_a_time_per_s=round(single_rate),
        ratio_to_copy=round(median(rate / anchor for rate, anchor in zip(rates, copied, strict=True)), 3),
        ratio_to_row_at_a_time=round(median(rates) / single_rate, 1),
        single_readings_per_s=round(ours),
        noop_messages_per_s=round(noop),
        ratio_to_noop=round(ours / noop, 3),
        peak_rss_mib=max(one.peak_rss_mib for one in drained),
        cpu_s_per_100k_readings=round(median(one.cpu_s for one in drained) / len(rows) * 100_000, 2),
        batch_sizes=best.batches,
        readings_per_message=size.readings,
        readings=len(rows),
        hypertable=place.is_hypertable,
        postgresql=place.server,
    )


async def _singles(
    place: Place, engine: AsyncEngine, rows: list[Row], fleet: Fleet, tell: Callable[[str], None]
) -> tuple[float, float]:
    """Messages a second with one reading each: of a handler that does nothing, and of ingest."""
    gateway_of = {meter: gateway_id for gateway_id, meters in fleet.meters.items() for meter in meters}
    bodies = list(encoded((gateway_of[row[0]], body(gateway_of[row[0]], [row])) for row in rows))
    await fill(place, bodies)
    noop = (await drain_by_noop(place, expected=len(bodies))).messages_per_s
    await empty(engine)
    await fill(place, bodies)
    ours = (await drain_by_ingest(place, expected=len(bodies))).messages_per_s
    await check_rows(engine, len(rows))
    tell(f"one reading a message: {ours:,.0f}/s, of a handler that does nothing {noop:,.0f}/s")
    return noop, ours


def as_json(result: IngestResult) -> dict[str, Any]:
    """The figures under the names that programs read."""
    return asdict(result)
