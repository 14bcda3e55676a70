"""Which meters continue each other, by themselves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.query.rules.chains import Chain, Meter, chain_of, chains_of
from shared.models import Medium, UnitOfMeasure

FLAT, OTHER_FLAT = UUID(int=100), UUID(int=101)


def on(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def meter(number: int, *, since: int, until: int | None = None, replaces: int | None = None) -> Meter:
    return Meter(
        UUID(int=number),
        FLAT,
        Medium.HEAT,
        UnitOfMeasure.KWH,
        on(since),
        None if until is None else on(until),
        None if replaces is None else UUID(int=replaces),
    )


OLD, NEW = meter(1, since=1, until=10), meter(2, since=10, replaces=1)


def told(chain: Chain) -> list[tuple[int, int | None, int | None]]:
    """Number, and the days since and until when what it showed counts."""
    return [
        (link.meter.id.int, link.since.day if link.since else None, link.until.day if link.until else None)
        for link in chain
    ]


def test_a_meter_that_replaced_nothing_counts_by_all_that_it_showed() -> None:
    assert told(chain_of(meter(1, since=1), [])) == [(1, None, None)]


def test_an_exchanged_meter_continues_its_predecessor_from_when_it_was_mounted() -> None:
    assert told(chain_of(NEW, [NEW, OLD])) == [(1, None, 10), (2, 10, None)]


def test_the_predecessor_does_not_know_what_replaced_it() -> None:
    assert told(chain_of(OLD, [NEW, OLD])) == [(1, None, 10)]


def test_one_that_was_taken_out_late_counts_until_the_next_one_was_mounted() -> None:
    late, newest = replace(OLD, deleted_at=on(20)), meter(3, since=15, replaces=2)
    assert told(chain_of(newest, [replace(NEW, deleted_at=on(18)), late])) == [
        (1, None, 10),
        (2, 10, 15),
        (3, 15, None),
    ]


def test_one_that_was_taken_out_early_counts_until_then() -> None:
    assert told(chain_of(NEW, [replace(OLD, deleted_at=on(5))])) == [(1, None, 5), (2, 10, None)]


@pytest.mark.parametrize(
    "before",
    [
        replace(OLD, unit_id=OTHER_FLAT),
        replace(OLD, medium=Medium.COOLING),
        replace(OLD, unit_of_measure=UnitOfMeasure.CUBIC_METRE),
        replace(OLD, id=UUID(int=7)),
    ],
    ids=["of another flat", "of another medium", "of another quantity", "another meter"],
)
def test_what_was_something_else_is_not_continued(before: Meter) -> None:
    assert told(chain_of(NEW, [before])) == [(2, 10, None)]


def test_a_predecessor_in_another_unit_of_the_same_quantity_is_continued() -> None:
    assert len(chain_of(NEW, [replace(OLD, unit_of_measure=UnitOfMeasure.MWH)])) == 2


def ids(chains: Sequence[Chain]) -> list[list[int]]:
    return sorted([link.meter.id.int for link in chain] for chain in chains)


def test_all_meters_are_in_one_chain_each_whatever_their_order() -> None:
    others = [meter(3, since=1), meter(4, since=5, until=6)]
    for meters in ([OLD, NEW, *others], [*others, NEW, OLD]):
        assert ids(chains_of(meters)) == [[1, 2], [3], [4]]


def test_what_two_say_that_they_replaced_is_in_one_chain_only() -> None:
    assert ids(chains_of([OLD, NEW, meter(3, since=12, replaces=1)])) == [[1, 3], [2]]


def test_meters_that_replace_each_other_are_one_chain() -> None:
    one, other = meter(1, since=1, replaces=2), meter(2, since=1, replaces=1)
    assert ids([chain_of(one, [one, other])]) == [[2, 1]]
    assert ids(chains_of([one, other])) == [[1, 2]]
    assert ids(chains_of([meter(5, since=1, replaces=5)])) == [[5]]


def test_no_meter_counts_beyond_what_came_after_it_also_where_times_are_in_no_order() -> None:
    between, newest = meter(2, since=20, replaces=1), meter(3, since=10, replaces=2)
    assert told(chain_of(newest, [meter(1, since=1), between])) == [(1, None, 10), (2, 20, 10), (3, 10, None)]
