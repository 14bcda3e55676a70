"""What counters say was used, reckoned naively: with exact fractions, over all readings, for each bucket anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor

from services.query.rules.counter import Amount, Flag, Part

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rise:
    start: datetime
    end: datetime
    by: int
    flag: Flag | None


def rises(parts: Sequence[Part]) -> Iterator[Rise]:
    """Between every two readings that follow each other."""
    shown = [(one.at, nearest(one.micros * part.ratio), part) for part in parts for one in part.shown]
    for (start, at_start, of_one), (end, at_end, of_other) in pairwise(shown):
        if of_one is not of_other:
            yield Rise(start, end, 0, Flag.EXCHANGED)
        elif at_end >= at_start:
            yield Rise(start, end, at_end - at_start, None)
        elif of_one.resets:
            yield Rise(start, end, max(at_end, 0), Flag.RESET)
        else:
            yield Rise(start, end, 0, Flag.COUNTER_FELL)


def nearest(amount: Fraction) -> int:
    """A half goes up."""
    return floor(amount + Fraction(1, 2))


def naively(parts: Sequence[Part], start: datetime, end: datetime, *, longest_gap: timedelta) -> Amount:
    """What was used from `start` on and before `end`."""
    all_rises = list(rises(parts))
    if not all_rises or end <= all_rises[0].start or start >= all_rises[-1].end:
        return Amount(None, frozenset({Flag.NO_DATA}))
    flags = {one.flag for one in all_rises if one.flag and one.start < end and one.end > start}
    if start < all_rises[0].start or end > all_rises[-1].end:
        flags.add(Flag.INCOMPLETE)
    if any(
        one.start < edge < one.end and one.end - one.start > longest_gap for one in all_rises for edge in (start, end)
    ):
        return Amount(None, frozenset({*flags, Flag.GAP}))

    def count(at: datetime) -> int:
        total = Fraction(0)
        for one in all_rises:
            part_of_it = Fraction((at - one.start) // MICROSECOND, (one.end - one.start) // MICROSECOND)
            total += one.by * min(max(part_of_it, Fraction(0)), Fraction(1))
        return nearest(total)

    return Amount(count(end) - count(start), frozenset(flags))
