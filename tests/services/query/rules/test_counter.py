"""What a counter says was used, by itself: against a naive reckoning with exact fractions over all readings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query.rules.counter import Counter, Flag, Part, Shown
from tests.services.query.naive_consumption import naively

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
GAP = 6 * HOUR
MINUTES = 3 * 24 * 60
RATIOS = [Fraction(1), Fraction(1, 1000), Fraction(1000), Fraction(2500, 9)]


def edges_of(parts: Sequence[Part]) -> st.SearchStrategy[list[datetime]]:
    """Some that rise, many of them at readings."""
    readings = [(shown.at - NOON) // MINUTE for part in parts for shown in part.shown]
    minutes = st.integers(-100, MINUTES + 100)
    return st.sets(minutes | st.sampled_from(readings) if readings else minutes, min_size=2).map(
        lambda chosen: [NOON + minute * MINUTE for minute in sorted(chosen)]
    )


@st.composite
def parts_of_a_counter(draw: st.DrawFn) -> list[Part]:
    """Up to three meters, one after the other, whose counters rise, stand still and fall."""
    minutes = sorted(draw(st.sets(st.integers(0, MINUTES), max_size=40)))
    ends = sorted(draw(st.lists(st.integers(0, len(minutes)), max_size=2)))
    parts = []
    for start, end in pairwise([0, *ends, len(minutes)]):
        micros, shown = draw(st.integers(-10, 10**9)), []
        for minute in minutes[start:end]:
            shown.append(Shown(NOON + minute * MINUTE, micros))
            micros += draw(st.integers(0, 10**7) | st.just(0) | st.integers(-(10**9), -1))
        parts.append(Part(shown, draw(st.sampled_from(RATIOS)), draw(st.booleans())))
    return parts


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Part], list[datetime]]:
    parts = draw(parts_of_a_counter())
    return parts, draw(edges_of(parts))


@given(cases())
def test_each_bucket_is_what_a_naive_reckoning_says(case: tuple[list[Part], list[datetime]]) -> None:
    parts, edges = case
    assert Counter(parts, longest_gap=GAP).between(edges) == [
        naively(parts, *span, longest_gap=GAP) for span in pairwise(edges)
    ]


@given(cases())
def test_nothing_is_ever_negative(case: tuple[list[Part], list[datetime]]) -> None:
    parts, edges = case
    assert all((amount.micros or 0) >= 0 for amount in Counter(parts, longest_gap=GAP).between(edges))


@given(cases())
def test_the_buckets_of_a_period_add_up_to_it_where_they_are_known(case: tuple[list[Part], list[datetime]]) -> None:
    parts, edges = case
    counter = Counter(parts, longest_gap=GAP)
    (total,), buckets = counter.between([edges[0], edges[-1]]), counter.between(edges)
    if not any(Flag.GAP in bucket.flags for bucket in buckets):
        assert sum(bucket.micros or 0 for bucket in buckets) == (total.micros or 0)


@given(cases(), st.integers(1, MINUTES))
def test_a_period_that_is_cut_anywhere_adds_up_where_the_cut_is_known(
    case: tuple[list[Part], list[datetime]], after: int
) -> None:
    parts, (start, *_, end) = case
    counter = Counter(parts, longest_gap=GAP)
    cut = min(start + after * MINUTE, end - MINUTE / 2)
    (whole,), halves = counter.between([start, end]), counter.between([start, cut, end])
    if not any(Flag.GAP in half.flags for half in halves):
        assert sum(half.micros or 0 for half in halves) == (whole.micros or 0)


def thinned(shown: Sequence[Shown], edges: Sequence[datetime]) -> list[Shown]:
    """What the database leaves of a meter's readings: those around an edge, around a fall, and at both ends."""
    kept = set[Shown]()
    within = [one for one in shown if edges[0] <= one.at < edges[-1]]
    before, after = [one for one in shown if one.at < edges[0]], [one for one in shown if one.at >= edges[-1]]
    readings = [*before[-1:], *within, *after[:1]]
    kept.update(readings[:1], readings[-1:])
    for one, other in pairwise(readings):
        if other.micros < one.micros or any(one.at < edge <= other.at for edge in edges):
            kept |= {one, other}
    return sorted(kept)


@given(cases())
def test_readings_between_which_no_edge_lies_and_no_counter_falls_say_no_more(
    case: tuple[list[Part], list[datetime]],
) -> None:
    parts, edges = case
    few = Counter([replace(part, shown=thinned(part.shown, edges)) for part in parts], longest_gap=GAP)
    all_of_them = Counter(parts, longest_gap=GAP)
    for cut in (edges, [edges[0], edges[-1]]):
        assert few.between(cut) == all_of_them.between(cut)


def at(hours: float, micros: int) -> Shown:
    return Shown(NOON + hours * HOUR, micros)


def used(parts: Part | list[Part], *hours: float) -> list[tuple[int | None, set[str]]]:
    """Between these hours after noon."""
    counter = Counter(parts if isinstance(parts, list) else [parts], longest_gap=GAP)
    return [(micros, set(flags)) for micros, flags in counter.between([NOON + hour * HOUR for hour in hours])]


def test_between_two_readings_a_counter_rises_evenly() -> None:
    assert used(Part([at(0, 100), at(4, 140)]), 0, 1, 4) == [(10, set()), (30, set())]


def test_an_edge_at_a_reading_is_what_was_read() -> None:
    assert used(Part([at(0, 100), at(1, 101), at(2, 150)]), 0, 1, 2) == [(1, set()), (49, set())]


@pytest.mark.parametrize(("hours", "is_known"), [(6, True), (7, False)])
def test_an_edge_in_a_gap_is_not_known_and_neither_are_the_buckets_beside_it(hours: int, is_known: bool) -> None:
    readings = Part([at(0, 0), at(2, 2), at(2 + hours, 20), at(4 + hours, 22)])
    first, *within, last = used(readings, 0, 2, 4, 2 + hours, 4 + hours)
    assert (first, last) == ((2, set()), (2, set()))
    if is_known:
        assert within == [(6, set()), (12, set())]
    else:
        assert within == [(None, {"gap"}), (None, {"gap"})]
    assert used(readings, 0, 4 + hours) == [(22, set())]


def test_a_gap_within_a_bucket_is_none_for_the_counter_tells_what_went_through() -> None:
    assert used(Part([at(0, 0), at(1, 1), at(20, 20), at(21, 21)]), 0, 21) == [(21, set())]


def test_what_reaches_beyond_the_readings_is_what_lies_between_them_and_says_so() -> None:
    assert used(Part([at(1, 10), at(2, 30)]), -1, 0, 1.5, 3, 4) == [
        (None, {"no_data"}),
        (10, {"incomplete"}),
        (10, {"incomplete"}),
        (None, {"no_data"}),
    ]


def test_a_counter_that_fell_stands_still_meanwhile_and_says_so() -> None:
    readings = Part([at(0, 100), at(1, 110), at(2, 5), at(3, 9)])
    assert used(readings, 0, 1, 2, 3) == [(10, set()), (0, {"counter_fell"}), (4, set())]
    assert used(readings, 0, 3) == [(14, {"counter_fell"})]


def test_a_heat_cost_allocator_that_fell_has_counted_from_zero_since_it_began_anew() -> None:
    readings = Part([at(0, 100), at(1, 110), at(2, 5), at(3, 9)], resets=True)
    assert used(readings, 0, 1, 2, 3) == [(10, set()), (5, {"reset"}), (4, set())]


def test_what_was_used_while_a_meter_was_exchanged_is_not_guessed() -> None:
    meters = [Part([at(0, 100), at(1, 110)]), Part([at(3, 7000), at(4, 7002)])]
    assert used(meters, 0, 1, 2, 3, 4) == [(10, set()), (0, {"exchanged"}), (0, {"exchanged"}), (2, set())]
    assert used(meters, 0, 4) == [(12, {"exchanged"})]


def test_a_meter_without_readings_between_two_others_changes_nothing() -> None:
    meters = [Part([at(0, 100), at(1, 110)]), Part([]), Part([at(3, 7000), at(4, 7002)])]
    assert used(meters, 0, 4) == [(12, {"exchanged"})]


def test_meters_in_different_units_are_reckoned_in_one() -> None:
    megawatt_hours = Part([at(0, 0), at(1, 2)], Fraction(1000))
    watt_hours = Part([at(2, 0), at(3, 1500)], Fraction(1, 1000))
    assert used([megawatt_hours, watt_hours], 0, 1, 2, 3) == [(2000, set()), (0, {"exchanged"}), (2, set())]


def test_one_reading_alone_says_nothing() -> None:
    assert used(Part([at(1, 100)]), 0, 1, 2) == [(None, {"no_data"}), (None, {"no_data"})]
    assert used([], 0, 1) == [(None, {"no_data"})]
