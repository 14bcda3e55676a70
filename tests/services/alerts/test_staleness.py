"""The rules of silence, by themselves."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.rules.judgement import Judgement, PipelineView
from services.alerts.rules.staleness import Silence, on_a_reading, on_the_clock
from shared.models import InstallationState

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIMIT = timedelta(hours=48)
FRESH, STALE, NEVER_SEEN = InstallationState.FRESH, InstallationState.STALE, InstallationState.NEVER_SEEN
SECOND = timedelta(seconds=1)


def silence(
    state: InstallationState = FRESH,
    *,
    heard: timedelta | None = None,
    installed: timedelta = timedelta(days=400),
    deleted: timedelta | None = None,
) -> Silence:
    """An installation by how long ago it was heard, installed and deleted."""
    return Silence(
        state=state,
        installed_at=NOW - installed,
        deleted_at=None if deleted is None else NOW - deleted,
        last_reading_at=None if heard is None else NOW - heard,
        limit=LIMIT,
    )


def test_a_fresh_one_turns_stale_exactly_at_its_limit() -> None:
    assert on_the_clock(silence(heard=LIMIT - SECOND), NOW).state is FRESH
    verdict = on_the_clock(silence(heard=LIMIT), NOW)
    assert (verdict.state, verdict.due_at) == (STALE, None)


def test_one_that_was_heard_meanwhile_is_looked_at_again_at_its_new_limit() -> None:
    assert on_the_clock(silence(heard=timedelta(hours=1)), NOW).due_at == NOW + timedelta(hours=47)


def test_one_that_was_never_seen_falls_due_its_limit_after_installation() -> None:
    young = on_the_clock(silence(NEVER_SEEN, installed=timedelta(hours=47)), NOW)
    assert (young.state, young.due_at) == (NEVER_SEEN, NOW + timedelta(hours=1))
    assert on_the_clock(silence(NEVER_SEEN, installed=LIMIT), NOW).state is STALE


def test_a_deleted_one_is_never_judged_again() -> None:
    verdict = on_the_clock(silence(heard=timedelta(days=9), deleted=SECOND), NOW)
    assert (verdict.state, verdict.due_at) == (FRESH, None)


def test_a_recent_reading_ends_staleness_and_a_back_filled_old_one_does_not() -> None:
    recovered = on_a_reading(silence(STALE, heard=LIMIT - SECOND), NOW)
    assert (recovered.state, recovered.due_at) == (FRESH, NOW + SECOND)
    still = on_a_reading(silence(STALE, heard=LIMIT), NOW)
    assert (still.state, still.due_at) == (STALE, None)


def test_a_first_reading_however_old_leaves_the_judgement_to_the_clock() -> None:
    verdict = on_a_reading(silence(NEVER_SEEN, heard=timedelta(days=5)), NOW)
    assert (verdict.state, verdict.due_at) == (FRESH, NOW - timedelta(days=3))


@given(
    heard=st.timedeltas(timedelta(hours=-1), timedelta(days=30)),
    state=st.sampled_from([FRESH, NEVER_SEEN]),
    later=st.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_due_at_is_never_later_than_the_moment_of_turning_stale(
    heard: timedelta, state: InstallationState, later: timedelta
) -> None:
    verdict = on_the_clock(silence(state, heard=heard), NOW)
    if verdict.due_at is not None:
        after = on_the_clock(silence(state, heard=heard), NOW + later)
        assert (after.state is STALE) == (NOW + later >= verdict.due_at)


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
