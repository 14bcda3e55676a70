"""The rules of silence of installations, by themselves."""

from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import QuietTimes
from services.alerts.rules.staleness import Consequence, Gateways, Silence, Verdict, on_a_reading, on_the_clock
from shared.models import InstallationState
from tests.services.alerts.rules.silences import HOUR, LIMIT, NOW, SECOND, silence

FRESH, STALE, NEVER_SEEN = InstallationState.FRESH, InstallationState.STALE, InstallationState.NEVER_SEEN
HEARD, SILENT, UNKNOWN = Gateways.HEARD, Gateways.SILENT, Gateways.UNKNOWN
ALL_STATES = pytest.mark.parametrize("state", list(InstallationState))


def test_a_fresh_one_turns_stale_exactly_at_its_limit() -> None:
    assert on_the_clock(silence(heard=LIMIT - SECOND), NOW, HEARD) == Verdict(FRESH, NOW + SECOND)
    assert on_the_clock(silence(heard=LIMIT), NOW, HEARD) == Verdict(STALE, None, Consequence.OPEN)


def test_one_that_was_heard_meanwhile_is_looked_at_again_at_its_new_limit() -> None:
    assert on_the_clock(silence(heard=HOUR), NOW, HEARD).due_at == NOW + 47 * HOUR


def test_one_that_was_never_seen_falls_due_its_limit_after_installation() -> None:
    young = on_the_clock(silence(NEVER_SEEN, installed=47 * HOUR), NOW, HEARD)
    assert young == Verdict(NEVER_SEEN, NOW + HOUR)
    assert on_the_clock(silence(NEVER_SEEN, installed=LIMIT), NOW, HEARD) == Verdict(STALE, None, Consequence.OPEN)


def test_grace_counts_from_installation_or_registration_whichever_is_later() -> None:
    limit = Limit(LIMIT, grace=7 * 24 * HOUR)
    installed = silence(NEVER_SEEN, installed=6 * 24 * HOUR, limit=limit)
    registered = silence(NEVER_SEEN, registered=6 * 24 * HOUR, limit=limit)
    expected = Verdict(NEVER_SEEN, NOW + 24 * HOUR)
    assert [on_the_clock(one, NOW, HEARD) for one in (installed, registered)] == [expected, expected]
    assert on_the_clock(silence(heard=LIMIT, limit=limit), NOW, HEARD).state is STALE


def test_quiet_times_do_not_count() -> None:
    # NOW is a Sunday, 13:00 in Copenhagen; the last reading came on Friday at 11:00.
    weekdays_only = Limit(LIMIT, quiet=QuietTimes(frozenset({6, 7}), None, "Europe/Copenhagen"))
    assert on_the_clock(silence(heard=50 * HOUR, limit=weekdays_only), NOW, HEARD) == Verdict(FRESH, NOW + 46 * HOUR)
    by_day = Limit(6 * HOUR, quiet=QuietTimes(frozenset(), (time(19), time(7)), "Europe/Copenhagen"))
    assert on_the_clock(silence(heard=12 * HOUR, limit=by_day), NOW, HEARD) == Verdict(STALE, None, Consequence.OPEN)
    assert on_the_clock(silence(heard=6 * HOUR, limit=by_day), NOW, HEARD) == Verdict(STALE, None, Consequence.OPEN)
    assert on_the_clock(silence(heard=6 * HOUR - SECOND, limit=by_day), NOW, HEARD).state is FRESH


def test_a_reading_of_the_future_does_not_harm() -> None:
    assert on_the_clock(silence(heard=-HOUR), NOW, HEARD) == Verdict(FRESH, NOW + 49 * HOUR)


@ALL_STATES
def test_a_deleted_one_is_never_judged_again_and_its_alert_goes(state: InstallationState) -> None:
    gone = silence(state, heard=9 * LIMIT, deleted=SECOND)
    assert on_the_clock(gone, NOW, HEARD) == Verdict(state, None)
    alerted = silence(state, heard=9 * LIMIT, deleted=SECOND, alerted=True)
    assert on_the_clock(alerted, NOW, HEARD) == Verdict(state, None, Consequence.REMOVE)


@pytest.mark.parametrize("heard", [HOUR, LIMIT])
@ALL_STATES
def test_one_that_is_to_be_deleted_is_looked_at_then(state: InstallationState, heard: timedelta) -> None:
    leaving = silence(state, heard=heard, deleted=-HOUR, alerted=state is STALE)
    assert on_the_clock(leaving, NOW, HEARD).due_at == NOW + HOUR


def test_a_silent_gateway_makes_stale_without_an_alert_and_one_that_is_not_judged_yet_defers() -> None:
    due = silence(heard=LIMIT)
    assert on_the_clock(due, NOW, SILENT) == Verdict(STALE, None)
    assert on_the_clock(due, NOW, UNKNOWN) == Verdict(FRESH, NOW + SECOND)
    suppressed = silence(STALE, heard=LIMIT)
    assert on_the_clock(suppressed, NOW, SILENT) == Verdict(STALE, None)
    assert on_the_clock(suppressed, NOW, UNKNOWN) == Verdict(STALE, NOW + SECOND)


def test_when_its_gateway_is_back_a_suppressed_one_has_its_whole_limit_again() -> None:
    back = silence(STALE, heard=9 * LIMIT, judged_from=LIMIT - SECOND)
    assert on_the_clock(back, NOW, HEARD) == Verdict(STALE, NOW + SECOND)
    still_silent = silence(STALE, heard=9 * LIMIT, judged_from=LIMIT)
    assert on_the_clock(still_silent, NOW, HEARD) == Verdict(STALE, None, Consequence.OPEN)
    not_yet_stale = silence(heard=9 * LIMIT, judged_from=LIMIT - SECOND)
    assert on_the_clock(not_yet_stale, NOW, HEARD) == Verdict(FRESH, NOW + SECOND)


def test_what_is_due_by_rules_that_changed_later_is_no_news() -> None:
    assert on_the_clock(silence(heard=LIMIT + HOUR, rules_changed=HOUR), NOW, HEARD).alert is Consequence.OPEN_QUIETLY
    later = silence(heard=LIMIT + HOUR, rules_changed=HOUR + SECOND)
    assert on_the_clock(later, NOW, HEARD).alert is Consequence.OPEN


def test_a_stale_one_is_within_its_limit_by_a_change_of_rules_only() -> None:
    longer = Limit(3 * LIMIT)
    alerted = silence(STALE, heard=2 * LIMIT, alerted=True, limit=longer)
    assert on_the_clock(alerted, NOW, HEARD) == Verdict(FRESH, NOW + LIMIT, Consequence.CLOSE_QUIETLY)
    suppressed = silence(STALE, heard=2 * LIMIT, limit=longer)
    assert on_the_clock(suppressed, NOW, HEARD) == Verdict(FRESH, NOW + LIMIT)
    never_seen = silence(STALE, installed=2 * LIMIT, alerted=True, limit=longer)
    assert on_the_clock(never_seen, NOW, HEARD) == Verdict(NEVER_SEEN, NOW + LIMIT, Consequence.CLOSE_QUIETLY)


def test_an_alerted_one_stays_so_whatever_its_gateway_does() -> None:
    for gateways in Gateways:
        assert on_the_clock(silence(STALE, heard=2 * LIMIT, alerted=True), NOW, gateways) == Verdict(STALE, None)
    back = silence(STALE, heard=2 * LIMIT, judged_from=HOUR, alerted=True)
    assert on_the_clock(back, NOW, HEARD) == Verdict(STALE, None)


def test_a_recent_reading_ends_staleness_and_a_back_filled_old_one_does_not() -> None:
    recent = on_a_reading(silence(STALE, heard=LIMIT - SECOND, alerted=True), NOW)
    assert recent == Verdict(FRESH, NOW + SECOND, Consequence.CLOSE)
    assert on_a_reading(silence(STALE, heard=LIMIT - SECOND), NOW) == Verdict(FRESH, NOW + SECOND)
    # Looked at once more: its rules may have changed meanwhile.
    assert on_a_reading(silence(STALE, heard=LIMIT, alerted=True), NOW) == Verdict(STALE, NOW)
    assert on_a_reading(silence(STALE, heard=LIMIT, judged_from=HOUR), NOW) == Verdict(STALE, NOW)


def test_a_reading_of_a_deleted_one_ends_no_alert() -> None:
    deleted = silence(STALE, heard=HOUR, deleted=SECOND, alerted=True)
    assert on_a_reading(deleted, NOW) == Verdict(STALE, NOW)


def test_a_first_reading_however_old_leaves_the_judgement_to_the_clock() -> None:
    verdict = on_a_reading(silence(NEVER_SEEN, heard=timedelta(days=5)), NOW)
    assert verdict == Verdict(FRESH, NOW - timedelta(days=3))


LIMITS = st.builds(
    Limit,
    st.timedeltas(SECOND, timedelta(days=20)),
    st.none() | st.builds(QuietTimes, st.frozensets(st.integers(1, 7), max_size=6), st.none(), st.just("Asia/Gaza")),
    st.timedeltas(timedelta(0), timedelta(days=20)),
)
AGES = st.timedeltas(timedelta(hours=-1), timedelta(days=30))


@given(
    one=st.builds(
        silence,
        st.sampled_from([FRESH, NEVER_SEEN]),
        heard=st.none() | AGES,
        installed=AGES,
        registered=AGES,
        judged_from=st.none() | AGES,
        limit=LIMITS,
    ),
    later=st.timedeltas(timedelta(0), timedelta(days=60)),
)
def test_the_next_look_is_when_it_turns_stale_and_not_a_moment_later(one: Silence, later: timedelta) -> None:
    verdict = on_the_clock(one, NOW, HEARD)
    assert (verdict.state is STALE) == (verdict.due_at is None)
    if verdict.due_at is not None:
        turns = on_the_clock(one, NOW + later, HEARD).state is STALE
        assert turns == (NOW + later >= verdict.due_at)
