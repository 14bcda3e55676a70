"""What `--full` adds: how pages, a year's consumption, an export and the changes fare among 20 million readings.

The list of 100,000 installations and a page over 100 at once are measured among the many alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.database import BenchDatabase, open_database
from benchmarks.query.bulk import export_s, walk_s
from benchmarks.query.calls import LIMIT, days_calls, installations_call, readings_calls, several_calls
from benchmarks.query.client import Call
from benchmarks.query.data import Extent, Heard, make_data
from benchmarks.query.sameness import check_buckets, check_length
from benchmarks.query.servers import OurServer, drive, our_server
from shared.database import open_engine

SEVERAL = 100

Tell = Callable[[str], None]
Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, kw_only=True)
class FullSize:
    """What is compared among few and many readings, `rounds` times.

    Pages for `seconds` each, and `bulk` readings of an export and of the changes, no more than there are few.
    """

    few: Extent
    many: Extent
    rounds: int
    seconds: float
    bulk: int


@dataclass(frozen=True, kw_only=True)
class FullResult:
    """By kind of table: medians over the rounds in milliseconds or readings a second, and of each round's own ratio.

    Where nothing else is said, among many readings. A `growth` is the time among many to that among few; the other
    ratios are to the page of one installation. `peak_rss_mib` is the service's that answered all of it.
    """

    few_readings: int
    many_readings: int
    installations: int
    few_p50_ms: dict[str, float]
    many_p50_ms: dict[str, float]
    growth_p50: dict[str, float]
    installations_p50_ms: dict[str, float]
    installations_p50_ratio: dict[str, float]
    several_p50_ms: dict[str, float]
    several_p50_ratio: dict[str, float]
    days_p50_ms: dict[str, float]
    days_growth_p50: dict[str, float]
    export_readings_per_s: dict[str, float]
    export_growth: dict[str, float]
    changes_readings_per_s: dict[str, float]
    changes_growth: dict[str, float]
    peak_rss_mib: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class _Round:
    """The median time of each kind of answer in milliseconds, and the seconds of what is taken in bulk."""

    few: float
    many: float
    installations: float
    several: float
    few_days: float
    many_days: float
    few_export: float
    many_export: float
    few_changes: float
    many_changes: float


@dataclass(frozen=True)
class _Kind:
    """What came of one kind of table."""

    rounds: list[_Round]
    peak_rss_mib: float


async def run_full(server_url: str, size: FullSize, *, hypertable: bool, tell: Tell) -> FullResult:
    """Measure in databases of their own, on a plain table too where `hypertable` says that there is another kind."""
    kinds = {
        kind: await _of_kind(server_url, size, kind, tell)
        for kind in (("hypertable", "plain") if hypertable else ("plain",))
    }

    def of(figure: Callable[[_Round], float]) -> dict[str, float]:
        return {name: round(median(map(figure, kind.rounds)), 3) for name, kind in kinds.items()}

    return FullResult(
        few_readings=size.few.readings,
        many_readings=size.many.readings,
        installations=size.many.installations,
        few_p50_ms=of(lambda one: one.few),
        many_p50_ms=of(lambda one: one.many),
        growth_p50=of(lambda one: one.many / one.few),
        installations_p50_ms=of(lambda one: one.installations),
        installations_p50_ratio=of(lambda one: one.installations / one.many),
        several_p50_ms=of(lambda one: one.several),
        several_p50_ratio=of(lambda one: one.several / one.many),
        days_p50_ms=of(lambda one: one.many_days),
        days_growth_p50=of(lambda one: one.many_days / one.few_days),
        export_readings_per_s=of(lambda one: size.bulk / one.many_export),
        export_growth=of(lambda one: one.many_export / one.few_export),
        changes_readings_per_s=of(lambda one: size.bulk / one.many_changes),
        changes_growth=of(lambda one: one.many_changes / one.few_changes),
        peak_rss_mib={name: kind.peak_rss_mib for name, kind in kinds.items()},
    )


async def _of_kind(server_url: str, size: FullSize, kind: str, tell: Tell) -> _Kind:
    """The rounds of two services side by side: one with few readings, one with many."""
    hypertable = kind == "hypertable"
    tell(f"{kind}: {size.few.readings:,} readings in one database and {size.many.readings:,} in another")
    async with (
        _filled(server_url, size.few, tell, hypertable=hypertable) as (few_database, few_heard),
        _filled(server_url, size.many, tell, hypertable=hypertable) as (many_database, many_heard),
        our_server(few_database) as few,
        our_server(many_database) as many,
    ):
        await _check(few, few_heard, days=size.few.days)
        await _check(many, many_heard, days=size.few.days)
        await check_length(many, [installations_call(many_heard[0], many)], limit=LIMIT)
        await check_length(many, several_calls(many_heard, many, each=SEVERAL)[:3], limit=LIMIT)
        measures = {
            **_of_many(many, many_heard, size),
            **_of_each("few", few, few_heard, size),
            **_of_each("many", many, many_heard, size),
        }
        for measure in measures.values():
            await measure()  # what is only slow the first time
        rounds = []
        for number in range(size.rounds):
            one = _Round(**{name: await measure() for name, measure in measures.items()})
            rounds.append(one)
            tell(f"{kind}, round {number + 1}: {_in_words(one, size.bulk)}")
    return _Kind(rounds, round(many.program.peak_rss_bytes / 2**20, 1))


def _of_many(many: OurServer, heard: Sequence[Heard], size: FullSize) -> Mapping[str, Measure]:
    """What is measured among many readings alone."""
    return {
        "installations": _p50(many, [installations_call(heard[0], many)], size),
        "several": _p50(many, several_calls(heard, many, each=SEVERAL), size),
    }


def _of_each(name: str, server: OurServer, heard: Sequence[Heard], size: FullSize) -> Mapping[str, Measure]:
    """What is measured among few and among many."""
    return {
        name: _p50(server, readings_calls(heard, server), size),
        f"{name}_days": _p50(server, days_calls(heard, server, days=size.few.days), size),
        f"{name}_export": lambda: export_s(server, heard, readings=size.bulk),
        f"{name}_changes": lambda: walk_s(server, heard[0], readings=size.bulk),
    }


def _p50(server: OurServer, calls: Sequence[Call], size: FullSize) -> Measure:
    """Milliseconds over one connection, so that it is the time of an answer and not of a queue before it."""

    async def measure() -> float:
        return (await drive(server, calls, connections=1, seconds=size.seconds)).p50_ms

    return measure


async def _check(server: OurServer, heard: Sequence[Heard], *, days: int) -> None:
    await check_length(server, readings_calls(heard, server)[:3], limit=LIMIT)
    await check_buckets(server, days_calls(heard, server, days=days)[:3], number=days)


def _in_words(one: _Round, in_bulk: int) -> str:
    return (
        f"{one.few:.2f} ms among few, {one.many:.2f} among many, {one.installations:.2f} for installations,"
        f" {one.several:.2f} for {SEVERAL} at once; days {one.few_days:.1f} and {one.many_days:.1f} ms;"
        f" export {in_bulk / one.few_export:,.0f} and {in_bulk / one.many_export:,.0f} readings/s,"
        f" changes {in_bulk / one.few_changes:,.0f} and {in_bulk / one.many_changes:,.0f}"
    )


@asynccontextmanager
async def _filled(
    server_url: str, extent: Extent, tell: Tell, *, hypertable: bool
) -> AsyncIterator[tuple[BenchDatabase, list[Heard]]]:
    async with open_database(server_url, "query", hypertable=hypertable) as database:
        async with open_engine(database.owner_url, application_name="mbus-bench") as engine:
            heard = await make_data(engine, extent, tell)
        yield database, heard
