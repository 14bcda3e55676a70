"""What a counter says was used between two moments: differences of what it showed, and never a guess.

All is reckoned in whole millionths of a unit, and so exactly: the buckets of a period add up to its total, any other
buckets of it to the same, and two periods to the one that they make.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

MICRO = 1_000_000


class Flag(StrEnum):
    """What is to be known of an amount beside it."""

    NO_DATA = "no_data"
    INCOMPLETE = "incomplete"
    GAP = "gap"
    EXCHANGED = "exchanged"
    COUNTER_FELL = "counter_fell"
    RESET = "reset"


class Shown(NamedTuple):
    """What a counter showed at a time, in millionths of its unit."""

    at: datetime
    micros: int


@dataclass(frozen=True, slots=True)
class Part:
    """One of the meters that counted one after the other, with what it showed, by time.

    `ratio` is how many of the wanted unit one of its own is. `resets` tells one that begins anew at zero each year.
    """

    shown: Sequence[Shown]
    ratio: Fraction = Fraction(1)
    resets: bool = False


class Amount(NamedTuple):
    """What was used, in millionths of the wanted unit; None where that is not known. The flags say why."""

    micros: int | None
    flags: frozenset[Flag]


class _Step(NamedTuple):
    """Between two times at which something was shown: by how many millionths the count has risen."""

    start: datetime
    end: datetime
    rise: int
    flag: Flag | None


class Counter:
    """The meters of one place, one after the other, as one counter that never falls.

    Between two readings it rises evenly. Where a meter fell it stands still, unless it `resets`: then it has counted
    from zero. Between the last reading of one meter and the first of the next it stands still too: what was used there
    nobody knows.
    """

    def __init__(self, parts: Iterable[Part], *, longest_gap: timedelta) -> None:
        parts = [part for part in parts if part.shown]
        self._longest_gap = longest_gap
        self._steps = list(_steps(parts))
        self._starts = [step.start for step in self._steps]
        self._counts = [0]
        for step in self._steps:
            self._counts.append(self._counts[-1] + step.rise)

    def between(self, edges: Sequence[datetime]) -> list[Amount]:
        """What was used between each of `edges`, which rise, and the next one."""
        if not self._steps:
            return [Amount(None, frozenset({Flag.NO_DATA}))] * (len(edges) - 1)
        counts = [self._count(edge) for edge in edges]
        flags = self._flags(edges)
        return [
            self._amount(span, of_span, flags.get(place, frozenset()))
            for place, (span, of_span) in enumerate(zip(pairwise(edges), pairwise(counts), strict=True))
        ]

    def _amount(
        self, span: tuple[datetime, datetime], counts: tuple[int | None, int | None], flags: frozenset[Flag]
    ) -> Amount:
        first, last = self._steps[0].start, self._steps[-1].end
        if max(span[0], first) >= min(span[1], last):
            return Amount(None, frozenset({Flag.NO_DATA}))
        if span[0] < first or span[1] > last:
            flags |= {Flag.INCOMPLETE}
        if counts[0] is None or counts[1] is None:
            return Amount(None, flags | {Flag.GAP})
        return Amount(counts[1] - counts[0], flags)

    def _count(self, at: datetime) -> int | None:
        """The count at a time; None in a gap. Before the first reading it is that of the first."""
        place = bisect_right(self._starts, at) - 1
        if place < 0:
            return 0
        step, count = self._steps[place], self._counts[place]
        if at >= step.end:
            return count + step.rise
        if at == step.start:
            return count
        length = step.end - step.start
        if length > self._longest_gap:
            return None
        return count + _rounded(step.rise * _microseconds(at - step.start), _microseconds(length))

    def _flags(self, edges: Sequence[datetime]) -> dict[int, frozenset[Flag]]:
        """The flags of steps, by the places of the buckets that they reach into."""
        flags: dict[int, frozenset[Flag]] = {}
        for step in self._steps:
            if step.flag is not None:
                first = max(bisect_right(edges, step.start) - 1, 0)
                for place in range(first, min(bisect_left(edges, step.end), len(edges) - 1)):
                    flags[place] = flags.get(place, frozenset()) | {step.flag}
        return flags


def _steps(parts: Sequence[Part]) -> Iterator[_Step]:
    before: Shown | None = None
    for part in parts:
        shown = _converted(part)
        if before is not None:
            yield _Step(before.at, shown[0].at, 0, Flag.EXCHANGED)
        for one, other in pairwise(shown):
            rise, flag = other.micros - one.micros, None
            if rise < 0:
                rise, flag = (max(other.micros, 0), Flag.RESET) if part.resets else (0, Flag.COUNTER_FELL)
            yield _Step(one.at, other.at, rise, flag)
        before = shown[-1]


def _converted(part: Part) -> Sequence[Shown]:
    """What it showed in the wanted unit. Each reading is rounded, so that a rise is the same wherever one begins."""
    if part.ratio == 1:
        return part.shown
    return [Shown(at, _rounded(micros * part.ratio.numerator, part.ratio.denominator)) for at, micros in part.shown]


def _rounded(amount: int, of: int) -> int:
    """The nearest whole number to `amount / of`; a half goes up."""
    return (2 * amount + of) // (2 * of)


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
