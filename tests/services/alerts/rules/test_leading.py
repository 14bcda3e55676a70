"""Which replica takes over: at once from one that has resigned, and not with a clock that is not believed."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.rules.leading import takes_over

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_nobody_takes_over_from_a_leader_who_looks() -> None:
    assert not takes_over(at(-5), NOON, resigned=False, believed=True)


@pytest.mark.parametrize("looked_at", [at(-5.1), at(5.1), None])
def test_a_leader_is_replaced_who_is_silent_or_looked_last_by_a_clock_that_was_set_back(
    looked_at: datetime | None,
) -> None:
    assert takes_over(looked_at, NOON, resigned=False, believed=True)


def test_a_leader_who_has_resigned_is_replaced_at_once() -> None:
    assert takes_over(NOON, NOON, resigned=True, believed=True)


@pytest.mark.parametrize("looked_at", [at(-9.9), at(9.9), NOON])
@pytest.mark.parametrize("resigned", [True, False])
def test_with_a_clock_that_is_not_believed_one_leads_only_when_nobody_else_does(
    looked_at: datetime, resigned: bool
) -> None:
    assert not takes_over(looked_at, NOON, resigned=resigned, believed=False)
    assert takes_over(at(-10.1), NOON, resigned=resigned, believed=False)
    assert takes_over(None, NOON, resigned=resigned, believed=False)
