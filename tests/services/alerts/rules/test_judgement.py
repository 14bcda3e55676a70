"""When silence may be judged at all, by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.rules.judgement import Judgement, PipelineView

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


EMPTY = PipelineView(whole=True, waiting=0)
BUSY = PipelineView(whole=True, waiting=7)
AWAY = PipelineView(whole=False, waiting=0)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_after_a_start_nothing_is_judged_until_the_settle_time_has_passed() -> None:
    judgement = Judgement(timedelta(seconds=60))
    assert [judgement.allows(EMPTY, at(second)) for second in (0, 59, 60, 61)] == [False, False, True, True]


def test_a_backlog_after_a_start_begins_the_settle_time_anew_when_it_is_gone() -> None:
    judgement = Judgement(timedelta(seconds=60))
    views = [(0, EMPTY), (30, BUSY), (50, EMPTY), (109, EMPTY), (110, EMPTY)]
    assert [judgement.allows(view, at(second)) for second, view in views] == [False, False, False, False, True]


@pytest.mark.parametrize(("gap", "next_allowed"), [(BUSY, True), (AWAY, False)])
def test_once_settled_waiting_messages_hold_only_while_they_wait_but_an_absence_settles_anew(
    gap: PipelineView, *, next_allowed: bool
) -> None:
    judgement = Judgement(timedelta(seconds=60))
    judgement.allows(EMPTY, at(0))
    assert judgement.allows(EMPTY, at(60))
    assert not judgement.allows(gap, at(61))
    assert judgement.allows(EMPTY, at(62)) is next_allowed
