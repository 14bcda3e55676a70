"""What a sweep that finds the same number of due installations costs among few and among many."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.alerts.data import make_data
from benchmarks.database import scalar
from benchmarks.errors import BenchError
from benchmarks.place import Place
from services.alerts.operations.gateways import sweep_gateways
from services.alerts.operations.sweeping import sweep
from shared.clock import utc_now
from shared.database import open_engine

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SweepSize:
    """`rounds` of a sweep that finds `due` among `few`, and one that finds as many among `many`."""

    few: int
    many: int
    due: int
    rounds: int

    @property
    def due_in_all(self) -> int:
        """With the first sweep, which is not counted."""
        return self.due * (self.rounds + 1)


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """Medians over the rounds, in seconds; `sweep_growth` is the median of each round's own ratio of many to few."""

    sweep_due: int
    sweep_few: int
    sweep_many: int
    sweep_few_s: float
    sweep_s: float
    sweep_slowest_s: float
    sweep_growth: float


async def measure_sweeps(few: Place, many: Place, size: SweepSize, *, tell: Tell) -> SweepResult:
    """Make the installations in two places, and let alerts' own sweep judge in turns what falls due among them.

    The first sweep of each, in which plans are made and caches filled, is not counted.
    """
    # In the past: what is found is to be delivered afterwards.
    first = utc_now() - timedelta(hours=1)
    times: list[tuple[float, float]] = []
    async with _made(few, size.few, size, first, tell) as little, _made(many, size.many, size, first, tell) as much:
        for number in range(size.rounds + 1):
            until = first + timedelta(seconds=number)
            took, more = await _sweep(little, until, size.due), await _sweep(much, until, size.due)
            times.append((took, more))
            tell(
                f"{f'round {number}' if number else 'not counted'}: {size.due:,} due among {size.few:,} in"
                f" {took:.3f} s, among {size.many:,} in {more:.3f} s, {more / took:.2f} times"
            )
    for place in (few, many):
        await _check(place, size.due_in_all)
    counted = times[1:]
    return SweepResult(
        sweep_due=size.due,
        sweep_few=size.few,
        sweep_many=size.many,
        sweep_few_s=round(median(took for took, _ in counted), 4),
        sweep_s=round(median(more for _, more in counted), 4),
        sweep_slowest_s=round(max(more for _, more in counted), 4),
        sweep_growth=round(median(more / took for took, more in counted), 3),
    )


@asynccontextmanager
async def _made(
    place: Place, installations: int, size: SweepSize, first: datetime, tell: Tell
) -> AsyncIterator[AsyncEngine]:
    """The engine of alerts, when the installations are there."""
    tell(f"making {installations:,} installations, {size.due_in_all:,} of them due in turns")
    async with open_engine(place.owner_url, application_name="mbus-bench") as owner:
        await make_data(
            owner, installations=installations, now=first, due=size.due_in_all, at_once=size.due, policies=True
        )
    async with open_engine(place.alerts_url, application_name="mbus-bench", of_service=True) as engine:
        yield engine


async def _sweep(engine: AsyncEngine, until: datetime, due: int) -> float:
    begun = time.perf_counter()
    await sweep_gateways(engine, until, until)
    swept = await sweep(engine, until, until)
    took = time.perf_counter() - begun
    if swept.alerts != due:
        raise BenchError(f"a sweep found {swept.alerts} silent installations, where {due} are")
    return took


async def _check(place: Place, expected: int) -> None:
    """A sweep that did not do its work would mean nothing: raises `BenchError`."""
    for what, count in (
        ("alerts", "SELECT count(*) FROM alert WHERE closed_at IS NULL AND opened_because = 'silence'"),
        ("deliveries", "SELECT count(*) FROM delivery WHERE event_type = 'installation.stale'"),
        ("stale installations", "SELECT count(*) FROM installation_status WHERE state = 'stale'"),
    ):
        found = int(await scalar(place.owner_url, count))
        if found != expected:
            raise BenchError(f"{found} {what} came of sweeps that found {expected} silent installations")
