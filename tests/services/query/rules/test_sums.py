"""Sums over meters, by themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.query.rules.chains import Chain, Meter, chain_of
from services.query.rules.counter import Amount, Flag
from services.query.rules.sums import Sum, Sums
from shared.models import Medium, UnitOfMeasure

DAYS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(5)]
NO_DATA = Amount(None, frozenset({Flag.NO_DATA}))


def known(micros: int, *flags: Flag) -> Amount:
    return Amount(micros, frozenset(flags))


def mounted(since: int = 0, until: int | None = None) -> Chain:
    end = None if until is None else DAYS[until]
    meter = Meter(UUID(int=1), UUID(int=2), Medium.HEAT, UnitOfMeasure.KWH, DAYS[since], end, None)
    return chain_of(meter, [])


def told(one: Sum) -> tuple[int | None, int, int, set[str]]:
    return one.amount.micros, one.meters, one.unknown, set(one.amount.flags)


def test_what_is_known_adds_up_with_how_many_are_not() -> None:
    sums = Sums(DAYS[:3])
    sums.add(mounted(), [known(5), known(7, Flag.RESET)])
    sums.add(mounted(), [known(1, Flag.INCOMPLETE), Amount(None, frozenset({Flag.GAP}))])
    assert [told(one) for one in sums.buckets] == [(6, 2, 0, {"incomplete"}), (7, 2, 1, {"reset", "gap"})]


def test_a_sum_of_which_nothing_is_known_is_not_zero() -> None:
    sums = Sums(DAYS[:2])
    sums.add(mounted(), [NO_DATA])
    assert told(sums.buckets[0]) == (None, 1, 1, {"no_data"})


def test_a_sum_of_no_meters_is_not_known() -> None:
    assert told(Sums(DAYS[:2]).buckets[0]) == (None, 0, 0, {"no_data"})


@pytest.mark.parametrize(("since", "until", "counts"), [(1, 3, [0, 1, 1, 0]), (0, None, [1, 1, 1, 1])])
def test_a_meter_counts_in_the_buckets_in_which_it_was_mounted(
    since: int, until: int | None, counts: list[int]
) -> None:
    sums = Sums(DAYS)
    sums.add(mounted(since, until), [NO_DATA] * 4)
    assert [one.meters for one in sums.buckets] == counts


def test_an_exchanged_meter_counts_from_when_the_first_was_mounted_until_the_last_is_taken_out() -> None:
    old = Meter(UUID(int=1), UUID(int=2), Medium.HEAT, UnitOfMeasure.KWH, DAYS[1], DAYS[2], None)
    new = replace(old, id=UUID(int=3), installed_at=DAYS[2], deleted_at=DAYS[3], replaces_id=old.id)
    sums = Sums(DAYS)
    sums.add(chain_of(new, [old]), [NO_DATA] * 4)
    assert [one.meters for one in sums.buckets] == [0, 1, 1, 0]


def test_what_a_meter_told_before_it_was_registered_as_mounted_counts() -> None:
    sums = Sums(DAYS)
    sums.add(mounted(since=2), [NO_DATA, known(3, Flag.INCOMPLETE), known(4), known(5)])
    assert [told(one)[:2] for one in sums.buckets] == [(None, 0), (3, 1), (4, 1), (5, 1)]
