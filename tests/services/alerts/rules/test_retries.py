"""When an alert is sent again, and when no more."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.rules.retries import (
    DELAYS,
    DISABLED_AFTER,
    GIVEN_UP_AFTER,
    RETRY_AFTER_AT_MOST,
    Delivered,
    Failed,
    Refused,
    next_attempt,
    to_be_disabled,
)

MADE = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
CHANCES = st.floats(0, 1, exclude_max=True)


def attempts_until_given_up(chances: list[float], retry_after: timedelta | None = None) -> list[datetime]:
    """Of an event that nobody ever takes; chance repeats itself."""
    made = [MADE]
    while True:
        chance = chances[len(made) % len(chances)]
        after = next_attempt(len(made), made[-1], retry_after, chance, made_at=MADE)
        if after is None:
            return made
        made.append(after)


@given(st.lists(CHANCES, min_size=1, max_size=30))
def test_attempts_grow_rarer_over_days_and_end(chances: list[float]) -> None:
    made = attempts_until_given_up(chances)
    waits = [later - before for before, later in pairwise(made)]
    assert waits[0] <= timedelta(seconds=5)
    assert MADE + DAY < made[-1] <= MADE + GIVEN_UP_AFTER
    assert made[-1] + DELAYS[-1] > MADE + GIVEN_UP_AFTER
    assert len(made) <= 40
    bounds = [*DELAYS, *[DELAYS[-1]] * len(waits)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=False))


def test_the_schedule_itself_only_grows_and_has_half_a_day_at_most() -> None:
    assert all(before < later for before, later in pairwise(DELAYS))
    assert attempts_until_given_up([0.5])[:3] == [MADE, MADE + 3.75 * SECOND, MADE + 26.25 * SECOND]


@given(st.integers(1, 100), CHANCES, CHANCES)
def test_more_attempts_and_more_chance_never_mean_less_patience(attempts: int, low: float, high: float) -> None:
    low, high = sorted((low, high))
    first = next_attempt(attempts, MADE, None, low, made_at=MADE)
    second = next_attempt(attempts, MADE, None, high, made_at=MADE)
    later = next_attempt(attempts + 1, MADE, None, low, made_at=MADE)
    assert first is not None
    assert second is not None
    assert later is not None
    assert MADE < first <= second
    assert first <= later


def test_chance_spreads_what_failed_at_once() -> None:
    at = {next_attempt(7, MADE, None, chance / 1000, made_at=MADE) for chance in range(1000)}
    assert len(at) == 1000


@given(st.integers(1, 100), CHANCES, st.timedeltas(-DAY, timedelta(days=9999)))
def test_a_receivers_wish_is_a_lower_bound_that_is_bounded_itself(
    attempts: int, chance: float, wish: timedelta
) -> None:
    without = next_attempt(attempts, MADE, None, chance, made_at=MADE)
    after = next_attempt(attempts, MADE, wish, chance, made_at=MADE)
    assert without is not None
    assert after == max(without, MADE + min(wish, RETRY_AFTER_AT_MOST))


def test_who_always_asks_for_patience_is_tried_for_days_all_the_same() -> None:
    made = attempts_until_given_up([0.0], timedelta(days=365))
    assert {later - before for before, later in pairwise(made)} == {RETRY_AFTER_AT_MOST}
    assert made[-1] == MADE + GIVEN_UP_AFTER


def test_what_is_old_by_now_is_given_up() -> None:
    late = MADE + GIVEN_UP_AFTER - timedelta(seconds=5)
    assert next_attempt(1, late, None, 0.0, made_at=MADE) == late + 2.5 * SECOND
    assert next_attempt(1, late + 5 * SECOND, None, 0.0, made_at=MADE) is None
    assert next_attempt(1, MADE + 30 * DAY, None, 0.0, made_at=MADE) is None


@pytest.mark.parametrize("attempts", [0, -1])
def test_what_was_not_attempted_has_not_failed(attempts: int) -> None:
    with pytest.raises(ValueError, match="not attempted"):
        next_attempt(attempts, MADE, None, 0.0, made_at=MADE)


def test_a_receiver_that_fails_for_days_is_to_be_disabled() -> None:
    failed = Failed("no answer")
    assert not to_be_disabled(None, MADE, failed)
    assert not to_be_disabled(MADE, MADE, failed)
    assert not to_be_disabled(MADE, MADE + DISABLED_AFTER - SECOND, failed)
    assert to_be_disabled(MADE, MADE + DISABLED_AFTER, failed)


def test_one_success_keeps_a_receiver_and_its_own_wish_ends_it_at_once() -> None:
    assert not to_be_disabled(MADE, MADE + 100 * DAY, Delivered())
    assert to_be_disabled(None, MADE, Refused("gone", 410))
