"""What `--full` adds: a page among 20 million readings, the list of 100,000 installations, a page over 100 at once."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.database import BenchDatabase, open_database
from benchmarks.query.calls import LIMIT, installations_call, readings_calls, several_calls
from benchmarks.query.client import Call
from benchmarks.query.data import Extent, Heard, make_data
from benchmarks.query.sameness import check_length
from benchmarks.query.servers import OurServer, drive, our_server
from shared.database import open_engine

SEVERAL = 100

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FullSize:
    """What is compared: a page among few and among many readings, `rounds` times for `seconds` each."""

    few: Extent
    many: Extent
    rounds: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FullResult:
    """By kind of table: medians over the rounds in milliseconds, and of each round's own ratio.

    `growth_p50` is the page among many readings to the one among few; the other ratios are to the page among many.
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


@dataclass(frozen=True, kw_only=True)
class _Round:
    """The median time of each kind of page, in milliseconds."""

    few: float
    many: float
    installations: float
    several: float


async def run_full(server_url: str, size: FullSize, *, hypertable: bool, tell: Tell) -> FullResult:
    """Measure in databases of their own, on a plain table too where `hypertable` says that there is another kind."""
    rounds = {
        kind: await _of_kind(server_url, size, kind, tell)
        for kind in (("hypertable", "plain") if hypertable else ("plain",))
    }
    return FullResult(
        few_readings=size.few.readings,
        many_readings=size.many.readings,
        installations=size.many.installations,
        few_p50_ms=_median(rounds, lambda one: one.few),
        many_p50_ms=_median(rounds, lambda one: one.many),
        growth_p50=_median(rounds, lambda one: one.many / one.few),
        installations_p50_ms=_median(rounds, lambda one: one.installations),
        installations_p50_ratio=_median(rounds, lambda one: one.installations / one.many),
        several_p50_ms=_median(rounds, lambda one: one.several),
        several_p50_ratio=_median(rounds, lambda one: one.several / one.many),
    )


def _median(rounds: dict[str, list[_Round]], figure: Callable[[_Round], float]) -> dict[str, float]:
    return {kind: round(median(map(figure, of_kind)), 3) for kind, of_kind in rounds.items()}


async def _of_kind(server_url: str, size: FullSize, kind: str, tell: Tell) -> list[_Round]:
    """The rounds of two services side by side: one with few readings, one with many."""
    hypertable = kind == "hypertable"
    tell(f"{kind}: {size.few.readings:,} readings in one database and {size.many.readings:,} in another")
    async with (
        _filled(server_url, size.few, tell, hypertable=hypertable) as (few_database, few_heard),
        _filled(server_url, size.many, tell, hypertable=hypertable) as (many_database, many_heard),
        our_server(few_database) as few,
        our_server(many_database) as many,
    ):
        calls = {
            "few": (few, readings_calls(few_heard, few)),
            "many": (many, readings_calls(many_heard, many)),
            "installations": (many, [installations_call(many_heard[0], many)]),
            "several": (many, several_calls(many_heard, many, each=SEVERAL)),
        }
        for server, of_page in calls.values():
            await check_length(server, of_page[:3], limit=LIMIT)
            await _p50_ms(server, of_page, size)
        rounds = []
        for number in range(size.rounds):
            p50 = _Round(**{name: await _p50_ms(*call, size) for name, call in calls.items()})
            rounds.append(p50)
            tell(
                f"{kind}, round {number + 1}: {p50.few:.2f} ms among few, {p50.many:.2f} among many,"
                f" {p50.installations:.2f} for installations, {p50.several:.2f} for {SEVERAL} at once"
            )
    return rounds


@asynccontextmanager
async def _filled(
    server_url: str, extent: Extent, tell: Tell, *, hypertable: bool
) -> AsyncIterator[tuple[BenchDatabase, list[Heard]]]:
    async with open_database(server_url, "query", hypertable=hypertable) as database:
        async with open_engine(database.owner_url, application_name="mbus-bench") as engine:
            heard = await make_data(engine, extent, tell)
        yield database, heard


async def _p50_ms(server: OurServer, calls: Sequence[Call], size: FullSize) -> float:
    """Over one connection, so that it is the time of an answer and not of a queue before it."""
    return (await drive(server, calls, connections=1, seconds=size.seconds)).p50_ms
