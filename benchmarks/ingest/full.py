"""What `--full` adds: a backlog of a million readings, the same once more, the largest messages, and a full table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.errors import BenchError
from benchmarks.ingest.drain import Drained, Message, drain_by_ingest, encoded, fill
from benchmarks.ingest.load import FIRST, Fleet, body, messages, register_fleet
from benchmarks.place import BenchServers, Place, open_place
from shared.database import open_engine
from shared.messages.gateway import MAX_MESSAGE_BYTES

BACKLOG_MESSAGES = 6_667
READINGS = 150
LARGE_MESSAGES = 16
LARGE_READINGS = MAX_MESSAGE_BYTES // 150
"""A reading takes 149 bytes or less as this bench writes it."""
ROWS_BEFORE = 20_000_000
ROUNDS = 3
MESSAGES_A_ROUND = 2_000

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FullResult:
    """The further figures. The memory of a worker is in MiB: its peak, and each second while it drained the backlog."""

    backlog_readings: int
    backlog_readings_per_s: float
    backlog_peak_rss_mib: float
    backlog_rss_mib: list[float]
    again_readings_per_s: float
    ratio_again: float
    large_message_bytes: int
    large_readings_per_s: float
    large_peak_rss_mib: float
    rows_before: int
    ratio_full_table: dict[str, float]


async def run_full(servers: BenchServers, *, gateways: int, meters: int, hypertable: bool, tell: Tell) -> FullResult:
    """Measure in places of their own."""
    async with (
        open_place(servers, hypertable=hypertable) as place,
        open_engine(place.owner_url, application_name="mbus-bench") as engine,
    ):
        fleet = await register_fleet(engine, gateways=gateways, meters=meters)
        first, again = await _backlog_twice(place, engine, fleet, tell)
        large, size = await _large(place, engine, fleet, tell)
    ratios = {}
    for kind in ("hypertable", "plain") if place.is_hypertable else ("plain",):
        ratios[kind] = await _on_full_table(servers, kind == "hypertable", gateways, meters, tell)
    return FullResult(
        backlog_readings=BACKLOG_MESSAGES * READINGS,
        backlog_readings_per_s=round(first.readings_per_s(READINGS)),
        backlog_peak_rss_mib=first.peak_rss_mib,
        backlog_rss_mib=first.rss_mib,
        again_readings_per_s=round(again.readings_per_s(READINGS)),
        ratio_again=round(again.messages_per_s / first.messages_per_s, 3),
        large_message_bytes=size,
        large_readings_per_s=round(large.readings_per_s(LARGE_READINGS)),
        large_peak_rss_mib=large.peak_rss_mib,
        rows_before=ROWS_BEFORE,
        ratio_full_table=ratios,
    )


async def _backlog_twice(place: Place, engine: AsyncEngine, fleet: Fleet, tell: Tell) -> tuple[Drained, Drained]:
    drained = []
    for number in range(2):
        await fill(place, _bodies(fleet, BACKLOG_MESSAGES, READINGS))
        drained.append(await drain_by_ingest(place, expected=BACKLOG_MESSAGES))
        await check_rows(engine, BACKLOG_MESSAGES * READINGS)
        speed = drained[-1].readings_per_s(READINGS)
        tell(f"a million readings, time {number + 1}: {speed:,.0f}/s, peak {drained[-1].peak_rss_mib:.0f} MiB")
    if drained[1].verdicts.get("stored"):
        raise BenchError("readings that were sent again were stored again")
    return drained[0], drained[1]


async def _large(place: Place, engine: AsyncEngine, fleet: Fleet, tell: Tell) -> tuple[Drained, int]:
    await empty(engine)
    size = max(len(body) for _, body in _bodies(fleet, len(fleet.meters), LARGE_READINGS))
    if size > MAX_MESSAGE_BYTES:
        raise BenchError(f"a message of {size} bytes is too large")
    await fill(place, _bodies(fleet, LARGE_MESSAGES, LARGE_READINGS))
    drained = await drain_by_ingest(place, expected=LARGE_MESSAGES)
    await check_rows(engine, LARGE_MESSAGES * LARGE_READINGS)
    tell(f"messages of {size:,} bytes: peak {drained.peak_rss_mib:.0f} MiB")
    return drained, size


async def _on_full_table(servers: BenchServers, hypertable: bool, gateways: int, meters: int, tell: Tell) -> float:  # noqa: FBT001
    """Readings a second with `ROWS_BEFORE` rows in the table, as a share of those with none, on one server."""
    kind = "hypertable" if hypertable else "plain table"
    async with (
        open_place(servers, hypertable=hypertable) as place,
        open_engine(place.owner_url, application_name="mbus-bench") as engine,
    ):
        fleet = await register_fleet(engine, gateways=gateways, meters=meters)
        before = [await _round(place, engine, fleet, 0) for _ in range(ROUNDS)]
        tell(f"{kind}: writing {ROWS_BEFORE:,} rows")
        hours = ROWS_BEFORE // (gateways * meters)
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(
                text(
                    "INSERT INTO reading SELECT i.id, at, 1, at, -70, 90 FROM generate_series(cast(:first AS"
                    " timestamptz) - make_interval(hours => :hours), cast(:first AS timestamptz) - interval '1 hour',"
                    " interval '1 hour') AS at, meter_installation i"
                ),
                {"first": FIRST, "hours": hours},
            )
        # What the server owes for these rows must not be paid while the others are written.
        async with engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in ("SET statement_timeout = 0", "VACUUM ANALYZE reading", "CHECKPOINT"):
                await autocommit.execute(text(statement))
        rows = hours * gateways * meters
        after = [await _round(place, engine, fleet, rows) for _ in range(ROUNDS)]
    ratio = median(after) / median(before)
    tell(f"{kind}: {median(before):,.0f}/s on an empty one, {median(after):,.0f}/s with {rows:,} rows, {ratio:.2f}")
    return round(ratio, 3)


async def _round(place: Place, engine: AsyncEngine, fleet: Fleet, rows_before: int) -> float:
    await fill(place, _bodies(fleet, MESSAGES_A_ROUND, READINGS))
    drained = await drain_by_ingest(place, expected=MESSAGES_A_ROUND)
    await check_rows(engine, rows_before + MESSAGES_A_ROUND * READINGS)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM reading WHERE timestamp >= :first"), {"first": FIRST})
    return drained.readings_per_s(READINGS)


def _bodies(fleet: Fleet, count: int, readings: int) -> Iterator[Message]:
    return iter(
        encoded((id_, body(id_, rows)) for id_, rows in messages(fleet, count=count, readings=readings, seed=1))
    )


async def empty(engine: AsyncEngine) -> None:
    """Remove all readings."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE reading"))


async def check_rows(engine: AsyncEngine, expected: int) -> None:
    """A rate of work that was not done right would mean nothing: raises `BenchError`."""
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT count(*) FROM reading"))
    if stored != expected:
        raise BenchError(f"{stored} readings are stored, {expected} were sent")
