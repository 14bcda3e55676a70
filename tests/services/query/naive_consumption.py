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
    by: Fraction
    flag: Flag | None


def rises(parts: Sequence[Part]) -> Iterator[Rise]:
    """Between every two readings that follow each other."""
    shown = [(one, part) for part in parts for one in part.shown]
    for (one, of_one), (other, of_other) in pairwise(shown):
        by = other.micros - one.micros
        if of_one is not of_other:
            yield Rise(one.at, other.at, Fraction(0), Flag.EXCHANGED)
        elif by >= 0:
            yield Rise(one.at, other.at, by * of_one.ratio, None)
        elif of_one.resets:
            yield Rise(one.at, other.at, max(other.micros, 0) * of_one.ratio, Flag.RESET)
        else:
            yield Rise(one.at, other.at, Fraction(0), Flag.COUNTER_FELL)


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
        return floor(total + Fraction(1, 2))

    return Amount(count(end) - count(start), frozenset(flags))
