"""Whether alerts folds the events of readings as fast as ingest stores the readings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.alerts.data import fleet_of, let_be_heard, make_data
from benchmarks.alerts.processes import running_alerts
from benchmarks.draining import check_empty, watch
from benchmarks.errors import BenchError
from benchmarks.ingest.drain import Message, drain_by_ingest, encoded, fill
from benchmarks.ingest.full import check_rows, empty
from benchmarks.ingest.load import Fleet, body, messages, register_fleet
from benchmarks.place import Place
from shared import topology
from shared.clock import utc_now
from shared.database import open_engine

READINGS = 150
"""In a message, as in `mbus bench ingest`."""
GATEWAYS = 20
METERS = 150
SEED = 1
EVERY = timedelta(minutes=1)
"""Each meter of the usual kind speaks; of the other kind each second."""
A_ROUND = timedelta(hours=4)
"""Further than the readings of a round reach: a round repeats nothing."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FoldSize:
    """`rounds` of `messages` as in `mbus bench ingest`; and `turns` in which each of `installations` speaks once."""

    rounds: int
    messages: int
    installations: int
    turns: int


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Medians over the rounds, and of each round's own ratio; `worst_…`: each reading is of another installation."""

    ingest_readings_per_s: float
    fold_readings_per_s: float
    fold_to_ingest: float
    worst_ingest_readings_per_s: float
    worst_fold_readings_per_s: float
    worst_fold_to_ingest: float
    fold_cpu_s_per_100k_readings: float


@dataclass(frozen=True)
class _Round:
    ingest_per_s: float
    fold_per_s: float
    cpu_s_a_reading: float


async def measure_folds(place: Place, size: FoldSize, *, tell: Tell) -> FoldResult:
    """Drain gateways' messages by the real ingest, then the events that it published by the real alerts."""
    async with open_engine(place.owner_url, application_name="mbus-bench") as engine:
        return await _measure(place, engine, size, tell)


async def _measure(place: Place, engine: AsyncEngine, size: FoldSize, tell: Tell) -> FoldResult:
    now = utc_now()
    before = now - size.rounds * A_ROUND
    await make_data(engine, installations=size.installations, now=before)
    everybody = await fleet_of(engine)
    few = await register_fleet(engine, gateways=GATEWAYS, meters=METERS)
    async with engine.begin() as connection:
        await let_be_heard(connection, before)
    usual = []
    for number in range(size.rounds):
        bodies = _bodies(few, size.messages, READINGS, before + number * A_ROUND, EVERY)
        usual.append(await _round(place, engine, bodies, READINGS, tell))
    tell(f"each reading of another installation, of {size.installations:,}")
    each = min(map(len, everybody.meters.values()))
    count = len(everybody.meters) * size.turns
    worst = await _round(place, engine, _bodies(everybody, count, each, now, timedelta(seconds=1)), each, tell)
    return FoldResult(
        ingest_readings_per_s=round(median(one.ingest_per_s for one in usual)),
        fold_readings_per_s=round(median(one.fold_per_s for one in usual)),
        fold_to_ingest=round(median(one.fold_per_s / one.ingest_per_s for one in usual), 3),
        worst_ingest_readings_per_s=round(worst.ingest_per_s),
        worst_fold_readings_per_s=round(worst.fold_per_s),
        worst_fold_to_ingest=round(worst.fold_per_s / worst.ingest_per_s, 3),
        fold_cpu_s_per_100k_readings=round(median(one.cpu_s_a_reading for one in usual) * 100_000, 2),
    )


def _bodies(fleet: Fleet, count: int, readings: int, first: datetime, every: timedelta) -> list[Message]:
    load = messages(fleet, count=count, readings=readings, seed=SEED, first=first, every=every)
    return list(encoded((gateway_id, body(gateway_id, rows)) for gateway_id, rows in load))


async def _round(
    place: Place, engine: AsyncEngine, bodies: Sequence[Message], readings_a_message: int, tell: Tell
) -> _Round:
    readings = len(bodies) * readings_a_message
    await empty(engine)
    await fill(place, bodies)
    stored = await drain_by_ingest(place, expected=len(bodies))
    await check_rows(engine, readings)
    ingest_per_s = stored.readings_per_s(readings_a_message)
    async with running_alerts(place) as alerts:
        folded = await watch(
            place.broker_url,
            topology.ALERTS_READINGS_STORED,
            alerts,
            counter="mbus_alerts_readings_heard_total",
            expected=readings,
        )
    await check_empty(place.broker_url, topology.ALERTS_READINGS_STORED)
    await _check_folded(engine)
    tell(f"ingest {ingest_per_s:,.0f} readings/s, fold {folded.per_s:,.0f}/s, {folded.per_s / ingest_per_s:.2f} of it")
    return _Round(ingest_per_s, folded.per_s, alerts.cpu_s / readings)


async def _check_folded(engine: AsyncEngine) -> None:
    """A fold that did not take over what was heard would mean nothing: raises `BenchError`."""
    async with engine.connect() as connection:
        behind = await connection.scalar(
            text(
                "SELECT count(*) FROM installation_status s JOIN (SELECT meter_installation_id,"
                " max(timestamp) AS newest FROM reading GROUP BY 1) r ON r.meter_installation_id = s.installation_id"
                " WHERE s.last_reading_at IS DISTINCT FROM r.newest"
            )
        )
    if behind:
        raise BenchError(f"{behind} installations were heard later than their status says")
