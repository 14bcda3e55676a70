"""How late an alert is with its subscriber: from the moment at which an installation falls due until it arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from statistics import quantiles
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Uuid

from benchmarks.alerts.arrivals import Arrivals, subscribed
from benchmarks.alerts.data import LIMIT, fleet_of, make_data
from benchmarks.alerts.load import steady_load
from benchmarks.alerts.processes import running_alerts, running_ingest
from benchmarks.draining import waiting
from benchmarks.errors import BenchError
from benchmarks.ingest.load import Fleet
from benchmarks.place import Place
from benchmarks.program import Program
from shared import topology
from shared.clock import utc_now
from shared.database import open_engine

REPLICAS = 4
BUSY = 0.2
"""The share of what ingest can do that comes in while it is busy."""
AHEAD = timedelta(seconds=3)
"""Between their preparation and their second."""
JUDGING_AFTER_S = 60.0
LOOK_S = 0.1
BACKLOG = 1_000
"""Messages in ingest's queue after which a load counts as none that is kept up with."""

Tell = Callable[[str], None]

# They were heard until then, and never after that.
FALL_SILENT = tuple(
    text(statement).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
    for statement in (
        "DELETE FROM reading WHERE meter_installation_id = ANY (:ids)",
        """
        UPDATE installation_status s
        SET last_reading_at = due - cast(:limit AS interval), due_at = due
        FROM (SELECT id, cast(:second AS timestamptz) + (number - 1) * interval '1 millisecond' AS due
              FROM unnest(:ids) WITH ORDINALITY AS silent (id, number)) i
        WHERE i.id = s.installation_id
        """,
        """
        INSERT INTO reading (meter_installation_id, timestamp, value, received_at, rssi_dbm, battery_level_pct)
        SELECT installation_id, last_reading_at, last_value, last_reading_at, last_rssi_dbm, last_battery_level_pct
        FROM installation_status WHERE installation_id = ANY (:ids)
        """,
    )
)


@dataclass(frozen=True)
class LatenessSize:
    """`seconds` of each kind, and how many fall due in each of them; with four replicas too, or not."""

    seconds: int
    due: int
    replicas: bool


@dataclass(frozen=True, kw_only=True)
class LatenessResult:
    """Seconds from due to arrived, of all alerts: with nothing else to do, busy, and with four replicas."""

    due_to_published_p50_s: float
    due_to_published_p99_s: float
    due_to_published_max_s: float
    due_to_published_busy_p50_s: float
    due_to_published_busy_p99_s: float
    due_to_published_busy_max_s: float
    busy_readings_per_s: float
    due_to_published_replicas_p99_s: float | None = None
    due_to_published_busy_replicas_p99_s: float | None = None


@dataclass(frozen=True)
class _Lateness:
    p50_s: float
    p99_s: float
    max_s: float


async def measure_lateness(
    place: Place, size: LatenessSize, *, ingest_readings_per_s: float, tell: Tell
) -> LatenessResult:
    """Let installations fall due within a second, and await what the real services tell a subscriber.

    Busy is a fifth of what ingest can do, from other gateways.
    """
    async with open_engine(place.owner_url, application_name="mbus-bench") as engine:
        return await _measure(place, engine, size, ingest_readings_per_s * BUSY, tell)


async def _measure(place: Place, engine: AsyncEngine, size: LatenessSize, per_s: float, tell: Tell) -> LatenessResult:
    kinds = [(1, False), (1, True)] + [(REPLICAS, False), (REPLICAS, True)] * size.replicas
    await make_data(engine, installations=2 * size.due * size.seconds * len(kinds), now=utc_now())
    fleet = await fleet_of(engine)
    names = list(fleet.meters)
    # Whose meters fall silent sends nothing.
    silent = iter([meter for name in names[::2] for meter in fleet.meters[name]])
    busy = Fleet({name: fleet.meters[name] for name in names[1::2]})
    late = []
    for replicas, is_busy in kinds:
        due = [list(islice(silent, size.due)) for _ in range(size.seconds)]
        async with _working(place, replicas), subscribed(place.broker_url) as arrivals:
            first = utc_now() - timedelta(minutes=30)
            load = steady_load(place, busy, readings_per_s=per_s, first=first) if is_busy else nullcontext()
            async with load:
                late.append(_lateness(await _of_seconds(place, engine, due, arrivals)))
        tell(
            f"{size.due:,} alerts in a second, {replicas} replica{'s' * (replicas > 1)},"
            f" {f'{per_s:,.0f} readings/s' if is_busy else 'nothing else to do'}:"
            f" {late[-1].p50_s:.2f} s after due in the median, p99 {late[-1].p99_s:.2f} s"
        )
    return LatenessResult(
        due_to_published_p50_s=late[0].p50_s,
        due_to_published_p99_s=late[0].p99_s,
        due_to_published_max_s=late[0].max_s,
        due_to_published_busy_p50_s=late[1].p50_s,
        due_to_published_busy_p99_s=late[1].p99_s,
        due_to_published_busy_max_s=late[1].max_s,
        busy_readings_per_s=round(per_s),
        due_to_published_replicas_p99_s=late[2].p99_s if size.replicas else None,
        due_to_published_busy_replicas_p99_s=late[3].p99_s if size.replicas else None,
    )


async def _of_seconds(
    place: Place, engine: AsyncEngine, silent: Sequence[Sequence[UUID]], arrivals: Arrivals
) -> list[float]:
    late: list[float] = []
    for installations in silent:
        due = await _fall_silent(engine, installations)
        await arrivals.wait_for(len(late) + len(installations))
        late += _late(arrivals, due, already=len(late))
        if await waiting(place.broker_url, topology.INGEST_READINGS) > BACKLOG:
            raise BenchError("ingest did not keep up with the load")
    return late


@asynccontextmanager
async def _working(place: Place, replicas: int) -> AsyncIterator[None]:
    """One ingest and so many alerts, until the block ends; it begins when all of them judge."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_ingest(place))
        alerts = [await stack.enter_async_context(running_alerts(place)) for _ in range(replicas)]
        try:
            async with asyncio.timeout(JUDGING_AFTER_S):
                for program in alerts:
                    await _judging(program)
        except TimeoutError:
            raise BenchError(f"alerts did not judge after {JUDGING_AFTER_S:.0f} s") from None
        yield


async def _judging(program: Program) -> None:
    while not (await program.metrics())["mbus_alerts_judging"]:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(LOOK_S)


async def _fall_silent(engine: AsyncEngine, installations: Sequence[UUID]) -> dict[UUID, float]:
    """Let them fall due, one each millisecond of a second that begins soon; when, in seconds since 1970."""
    second = utc_now() + AHEAD
    known = {"second": second, "limit": LIMIT}
    async with engine.begin() as connection:
        for statement in FALL_SILENT:
            names = {name: value for name, value in known.items() if f":{name}" in statement.text}
            await connection.execute(statement, {"ids": list(installations), **names})
    if utc_now() >= second:
        raise BenchError("preparing the installations took longer than their time")
    return {id_: (second + timedelta(milliseconds=number)).timestamp() for number, id_ in enumerate(installations)}


def _late(arrivals: Arrivals, due: dict[UUID, float], *, already: int) -> list[float]:
    came = arrivals.stale[already:]
    late = [arrival.at - due[arrival.installation_id] for arrival in came if arrival.installation_id in due]
    if len({arrival.installation_id for arrival in came}) != len(due) or len(late) != len(due):
        raise BenchError(f"{len(due)} fell silent, and {len(came)} alerts came, not one of each")
    if min(late) < 0:
        raise BenchError("an alert came before its time")
    return late


def _lateness(late: Sequence[float]) -> _Lateness:
    percentiles = quantiles(late, n=100, method="inclusive")
    return _Lateness(round(percentiles[49], 3), round(percentiles[98], 3), round(max(late), 3))
