"""How many messages may be in hand, by how large they are."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.window import FEWEST, Window
from shared.messages.gateway import MAX_MESSAGE_BYTES

MEBIBYTE = 1024 * 1024


def window() -> Window:
    return Window(most_messages=200, most_bytes=16 * MEBIBYTE)


def after(sizes: list[int]) -> Window:
    one = window()
    for size in sizes:
        one.came(size)
    return one


def test_it_begins_as_if_all_were_as_large_as_can_be() -> None:
    assert window().size == 4


def test_small_messages_open_it_and_large_ones_close_it_faster() -> None:
    opened = after([20_000] * 120)
    assert opened.size == 200
    assert after([20_000] * 4).size < 200
    for _ in range(8):
        opened.came(MAX_MESSAGE_BYTES)
    assert opened.size <= 5
    opened.forget()
    assert opened.size == 4


@given(st.lists(st.integers(1, MAX_MESSAGE_BYTES), max_size=300))
def test_it_is_never_wider_than_allowed_nor_closed(sizes: list[int]) -> None:
    assert FEWEST <= after(sizes).size <= 200


@given(st.integers(1, MAX_MESSAGE_BYTES))
def test_messages_of_one_size_fill_the_bytes_that_are_allowed(size: int) -> None:
    fitting = max(FEWEST, min(200, 16 * MEBIBYTE // size))
    assert fitting - 1 <= after([size] * 2_000).size <= fitting


def test_a_change_must_be_worth_it_and_there_must_be_room_for_it() -> None:
    one = after([100_000] * 500)
    assert one.size == 167
    assert not one.is_worth_changing(167, in_hand=0)
    assert not one.is_worth_changing(150, in_hand=0)
    assert one.is_worth_changing(100, in_hand=10)
    assert not one.is_worth_changing(100, in_hand=100)
    assert one.is_worth_changing(400, in_hand=400)
    assert (one.beside(0), one.beside(100), one.beside(199), one.beside(250)) == (167, 100, 0, 0)


def test_one_that_stays_in_hand_does_not_keep_the_others_out() -> None:
    assert after([1] * 50).beside(1) == 199
    assert Window(most_messages=1, most_bytes=1).beside(0) == 1


@given(st.lists(st.integers(1, MAX_MESSAGE_BYTES), max_size=50), st.integers(0, 400))
def test_what_is_in_hand_and_what_is_asked_for_are_together_never_more_than_allowed(
    sizes: list[int], in_hand: int
) -> None:
    beside = after(sizes).beside(in_hand)
    assert beside == 0 or in_hand + beside <= 200
