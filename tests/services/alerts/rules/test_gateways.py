"""The rules of silence of gateways, by themselves."""

from datetime import time, timedelta

import pytest

from services.alerts.rules.gateways import GatewayVerdict, on_the_clock
from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import QuietTimes
from services.alerts.rules.staleness import Consequence
from shared.models import GatewayState
from tests.services.alerts.rules.silences import HOUR, NOW, SECOND, gateway

HEARD, SILENT = GatewayState.HEARD, GatewayState.SILENT
DAY = 24 * HOUR
ALLOWED = 36 * HOUR
# NOW is a Sunday, at 13:00 in Copenhagen.
WEEKDAYS = QuietTimes(frozenset({6, 7}), None, "Europe/Copenhagen")
BY_DAY = QuietTimes(frozenset(), (time(19), time(7)), "Europe/Copenhagen")


@pytest.mark.parametrize(
    ("silent_after", "limits", "allowed"),
    [
        pytest.param(None, {Limit(2 * DAY)}, ALLOWED, id="a day and a half"),
        pytest.param(None, {Limit(30 * DAY)}, ALLOWED, id="however long its limits are"),
        pytest.param(None, {Limit(2 * DAY), Limit(8 * HOUR)}, 6 * HOUR, id="three quarters of the shortest limit"),
        pytest.param(None, set(), ALLOWED, id="without installations"),
        pytest.param(None, {Limit(2 * DAY, WEEKDAYS)}, 11 * HOUR + ALLOWED, id="quiet times do not count"),
        pytest.param(None, {Limit(2 * DAY, WEEKDAYS), Limit(9 * DAY)}, ALLOWED, id="the earliest moment of all"),
        pytest.param(5 * DAY, {Limit(8 * HOUR)}, 5 * DAY, id="its own"),
        pytest.param(5 * DAY, set(), 5 * DAY, id="its own, without installations"),
        pytest.param(2 * HOUR, {Limit(DAY, WEEKDAYS)}, 13 * HOUR, id="its own, quiet times do not count"),
        pytest.param(2 * HOUR, {Limit(DAY, WEEKDAYS), Limit(DAY, BY_DAY)}, 2 * HOUR, id="its own, the earliest"),
    ],
)
def test_how_long_it_may_be_silent(silent_after: timedelta | None, limits: set[Limit], allowed: timedelta) -> None:
    heard_now = gateway(heard=timedelta(0), silent_after=silent_after, limits=frozenset(limits))
    assert on_the_clock(heard_now, NOW + allowed - SECOND) == GatewayVerdict(HEARD, NOW + allowed)
    assert on_the_clock(heard_now, NOW + allowed) == GatewayVerdict(SILENT, None, Consequence.OPEN)


def test_one_that_was_never_heard_counts_from_its_registration() -> None:
    assert on_the_clock(gateway(registered=HOUR), NOW) == GatewayVerdict(HEARD, NOW + 35 * HOUR)
    assert on_the_clock(gateway(registered=ALLOWED), NOW).state is SILENT


def test_what_is_due_by_rules_that_changed_later_is_no_news() -> None:
    quietly = on_the_clock(gateway(heard=ALLOWED + HOUR, rules_changed=HOUR), NOW)
    assert quietly == GatewayVerdict(SILENT, None, Consequence.OPEN_QUIETLY)
    assert on_the_clock(gateway(heard=ALLOWED + HOUR, rules_changed=2 * HOUR), NOW).alert is Consequence.OPEN


def test_a_silent_one_stays_so_until_it_is_heard_within_its_limit() -> None:
    assert on_the_clock(gateway(SILENT, heard=2 * DAY, since=DAY), NOW) == GatewayVerdict(SILENT, None)
    back = on_the_clock(gateway(SILENT, heard=HOUR, since=DAY), NOW)
    assert back == GatewayVerdict(HEARD, NOW + 35 * HOUR, Consequence.CLOSE)


def test_a_silent_one_that_was_not_heard_is_within_its_limit_by_a_change_of_rules() -> None:
    longer = gateway(SILENT, heard=2 * DAY, since=DAY, silent_after=3 * DAY)
    assert on_the_clock(longer, NOW) == GatewayVerdict(HEARD, NOW + DAY, Consequence.CLOSE_QUIETLY)
    never_heard = gateway(SILENT, registered=2 * DAY, since=DAY, silent_after=3 * DAY)
    assert on_the_clock(never_heard, NOW).alert is Consequence.CLOSE_QUIETLY


def test_a_removed_one_has_no_alert_and_nothing_is_held_against_it() -> None:
    assert on_the_clock(gateway(heard=9 * DAY, deleted=SECOND), NOW) == GatewayVerdict(HEARD, None)
    removed = on_the_clock(gateway(SILENT, heard=9 * DAY, deleted=SECOND), NOW)
    assert removed == GatewayVerdict(HEARD, None, Consequence.REMOVE)


@pytest.mark.parametrize(("state", "heard"), [(HEARD, HOUR), (HEARD, 9 * DAY), (SILENT, 9 * DAY)])
def test_one_that_is_to_be_removed_is_looked_at_then(state: GatewayState, heard: timedelta) -> None:
    assert on_the_clock(gateway(state, heard=heard, since=DAY, deleted=-HOUR), NOW).due_at == NOW + HOUR
