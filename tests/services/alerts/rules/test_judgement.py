"""When judgement is held, when it goes on, and what operators are told of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.rules.judgement import (
    ABSENT_AFTER,
    STEPPED_BY,
    ClockWatch,
    Degradation,
    Standing,
    Told,
    Trouble,
    absence,
    disagreement,
    go_on,
    hold,
)
from shared.messages.alert_events import AlertEventType, PipelineCause

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SETTLE = timedelta(minutes=5)
BROKER = Trouble(PipelineCause.BROKER, "the broker could not be reached")
BEHIND = Trouble(PipelineCause.BEHIND, "no ingest consumes")
STARTED = Trouble(PipelineCause.STARTED, "alerts has started for the first time")
JUDGING = Standing(judged_until=NOON - timedelta(seconds=1), healthy_since=NOON - timedelta(hours=1))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_while_nothing_is_wrong_what_is_proven_is_judged() -> None:
    ruling = go_on(JUDGING, at(-0.5), NOON, settle=SETTLE)
    assert ruling.standing == replace(JUDGING, judged_until=at(-0.5))
    assert ruling.told is None
    assert ruling.standing.in_words is None


def test_a_trouble_holds_judgement_for_the_settle_time_and_is_told_once_as_is_its_end() -> None:
    held = hold(JUDGING, BROKER, NOON)
    assert held.told == Told(AlertEventType.PIPELINE_DEGRADED, Degradation(NOON, BROKER))
    assert held.standing.in_words == "broker: the broker could not be reached"
    again = hold(held.standing, BEHIND, at(1))
    assert again.told is None
    assert again.standing.in_words == "behind: no ingest consumes"
    settling = go_on(again.standing, at(2), at(2), settle=SETTLE)
    assert settling.told is None
    assert settling.standing.judged_until == JUDGING.judged_until
    settles = "until all has been well for the settle time, as it is since 2026-11-01 12:00:02Z"
    assert settling.standing.in_words == f"{settles}; before: behind: no ingest consumes"
    almost = go_on(settling.standing, at(301), at(301.9), settle=SETTLE)
    assert almost == settling
    judging = go_on(almost.standing, at(301), at(302), settle=SETTLE)
    assert judging.standing == Standing(judged_until=at(301), healthy_since=at(2))
    assert judging.told == Told(AlertEventType.PIPELINE_RECOVERED, Degradation(NOON, BROKER))
    assert go_on(judging.standing, at(302), at(303), settle=SETTLE).told is None


def test_a_trouble_while_it_settles_begins_the_settle_time_anew() -> None:
    settling = go_on(hold(JUDGING, BROKER, NOON).standing, None, at(1), settle=SETTLE).standing
    held = hold(settling, BROKER, at(200))
    assert held.standing.healthy_since is None
    anew = go_on(held.standing, at(201), at(201), settle=SETTLE).standing
    assert go_on(anew, at(302), at(302), settle=SETTLE).standing.trouble is not None
    assert go_on(anew, at(501), at(501), settle=SETTLE).standing.trouble is None


def test_the_settle_time_ends_no_hold_before_something_is_proven() -> None:
    settling = go_on(hold(JUDGING, BROKER, NOON).standing, None, at(1), settle=SETTLE).standing
    assert go_on(settling, None, at(900), settle=SETTLE).standing == settling


def test_the_first_start_of_all_settles_too_but_is_no_news() -> None:
    held = hold(Standing(), STARTED, NOON)
    assert held.told is None
    settling = go_on(held.standing, at(1), at(1), settle=SETTLE)
    assert settling.standing.trouble is not None
    judging = go_on(settling.standing, at(301), at(301), settle=SETTLE)
    assert judging.standing.judged_until == at(301)
    assert judging.told is None


def test_a_failure_after_the_first_start_is_told() -> None:
    held = hold(hold(Standing(), STARTED, NOON).standing, BEHIND, at(30))
    assert held.told == Told(AlertEventType.PIPELINE_DEGRADED, Degradation(at(30), BEHIND))


def test_without_a_settle_time_judgement_goes_on_with_the_next_proof() -> None:
    judging = go_on(hold(JUDGING, BROKER, NOON).standing, at(1), at(1), settle=timedelta(0))
    assert judging.standing.judged_until == at(1)


def test_a_clock_that_is_moved_back_a_little_moves_nothing_back() -> None:
    assert go_on(JUDGING, at(-5), NOON, settle=SETTLE).standing == JUDGING


def test_when_a_clock_that_was_ahead_has_been_put_right_nothing_is_judged_beyond_the_present() -> None:
    ahead = replace(JUDGING, judged_until=at(3600))
    assert go_on(ahead, at(-1), NOON, settle=SETTLE).standing.judged_until == at(-1)


def test_what_is_not_judged_is_measured_from_what_all_replicas_see_while_nothing_holds_judgement() -> None:
    assert JUDGING.unjudged(None, at(30)) == timedelta(seconds=31)
    assert JUDGING.unjudged(at(29), at(30)) == timedelta(seconds=1)
    assert JUDGING.unjudged(at(-9), at(30)) == timedelta(seconds=31)
    assert hold(JUDGING, BROKER, NOON).standing.unjudged(at(29), at(30)) is None
    assert Standing().unjudged(at(29), at(30)) is None


def test_who_looked_a_moment_ago_was_not_absent() -> None:
    assert absence(NOON - ABSENT_AFTER, NOON) is None


def test_an_absence_says_since_when() -> None:
    absent = absence(NOON - timedelta(days=3), NOON)
    assert absent == Trouble(PipelineCause.ABSENT, "alerts was away since 2026-10-29 12:00:00Z")
    assert absent.is_news


def test_a_look_that_lies_ahead_says_that_the_clock_was_set_back() -> None:
    assert absence(NOON + ABSENT_AFTER, NOON) is None
    absent = absence(NOON + timedelta(hours=1), NOON)
    assert absent is not None
    assert absent.words == "the database's clock was set back: by it alerts looked last at 2026-11-01 13:00:00Z"


def test_never_to_have_looked_is_a_start_and_no_news() -> None:
    started = absence(None, NOON)
    assert started is not None
    assert started.cause is PipelineCause.STARTED
    assert not started.is_news


@pytest.mark.parametrize("database_s", [-9.0, 0.0, 3.0, 11.0])
def test_a_slow_answer_is_no_difference_between_clocks(database_s: float) -> None:
    assert disagreement(NOON, at(3), at(database_s)) is None


@pytest.mark.parametrize("database_s", [-10.5, 14.0])
def test_clocks_that_differ_are_not_believed(database_s: float) -> None:
    trouble = disagreement(NOON, at(3), at(database_s))
    assert trouble is not None
    assert trouble.cause is PipelineCause.CLOCK


def test_a_clock_that_goes_on_was_not_moved_however_long_nobody_looked() -> None:
    clocks = ClockWatch()
    assert clocks.stepped(NOON, 100.0) is None
    assert clocks.stepped(at(100_000), 100_100.0) is None


@pytest.mark.parametrize("step_s", [-3600.0, -11.0, 11.0, 3600.0])
def test_a_clock_that_was_moved_is_noticed_once(step_s: float) -> None:
    clocks = ClockWatch()
    clocks.stepped(NOON, 100.0)
    trouble = clocks.stepped(at(1 + step_s), 101.0)
    assert trouble == Trouble(PipelineCause.CLOCK, f"the clock was moved by {step_s:+.0f} s")
    assert clocks.stepped(at(2 + step_s), 102.0) is None


def test_a_clock_that_is_corrected_a_little_is_believed() -> None:
    clocks = ClockWatch()
    clocks.stepped(NOON, 100.0)
    assert clocks.stepped(NOON + timedelta(seconds=1) + STEPPED_BY * 0.9, 101.0) is None
