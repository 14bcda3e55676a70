"""How many messages to have in hand, by the sizes of those that came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.prefetch import Prefetch

MIB = 1024 * 1024


def prefetch(*, most: int = 200) -> Prefetch:
    return Prefetch(most=most, most_bytes=16 * MIB, largest=4 * MIB)


@pytest.mark.parametrize(
    ("most", "levels"), [(1, [1]), (4, [4]), (8, [4]), (9, [4, 5]), (50, [4, 16, 34]), (200, [4, 16, 64, 136])]
)
def test_two_neighbouring_levels_are_in_hand_together_and_no_more_than_allowed(most: int, levels: list[int]) -> None:
    assert prefetch(most=most).levels == levels


def test_it_begins_with_few_and_takes_more_as_messages_turn_out_to_be_small() -> None:
    one = prefetch()
    seen = [one.level]
    for _ in range(500):
        one.came(20_000)
        if one.level != seen[-1]:
            seen.append(one.level)
    assert seen == [4, 16, 64, 136]


def test_one_large_message_is_enough_to_take_fewer_and_it_is_not_forgotten_at_once() -> None:
    one = prefetch()
    for _ in range(500):
        one.came(20_000)
    one.came(4 * MIB)
    for _ in range(60):
        assert one.level == 4
        one.came(20_000)


@given(st.integers(1, 2000), st.lists(st.integers(0, 4 * MIB), max_size=50))
def test_what_has_the_size_of_the_last_ones_fits(most: int, sizes: list[int]) -> None:
    one = prefetch(most=most)
    for size in sizes:
        one.came(size)
    assert one.level * max(sizes[-1:], default=4 * MIB) <= 16 * MIB
    assert one.level <= most
    assert all(first + second <= most for first, second in zip(one.levels, one.levels[1:], strict=False))
