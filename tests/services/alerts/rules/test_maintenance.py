"""Maintenance windows, by themselves: against a model that asks the clock on the wall each minute."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import permutations
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.alerts.rules.maintenance import LOOK_AHEAD, Once, Recurring, Subject, Window, open_now
from tests.services.alerts.rules.test_quiet import CHANGES, COPENHAGEN, MINUTE, utc

ALL_DAYS = frozenset(range(1, 8))
FIRST, SECOND, THIRD, FOURTH = (UUID(int=number) for number in range(1, 5))
HOUR = timedelta(hours=1)


def holds(moment: datetime, times: Recurring) -> bool:
    """As somebody would tell who looks at the clock on the wall."""
    wall = moment.astimezone(ZoneInfo(times.time_zone))
    today, begin, end = wall.date(), *(times.hours or (time(), time()))
    if times.hours is None or begin < end:
        began_on = today if times.hours is None or begin <= wall.time() < end else None
    else:
        began_on = today if wall.time() >= begin else today - timedelta(days=1) if wall.time() < end else None
    return (
        began_on is not None
        and began_on.isoweekday() in times.weekdays
        and (times.valid_from is None or times.valid_from <= began_on)
        and (times.valid_until is None or began_on <= times.valid_until)
    )


def minute_by_minute(moment: datetime, times: Recurring) -> datetime | None:
    if not holds(moment, times):
        return None
    while holds(moment, times):
        moment += MINUTE
    return moment


@st.composite
def around_a_change(draw: st.DrawFn) -> tuple[datetime, Recurring]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone])))
    quarters = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
    hours = draw(st.none() | st.tuples(quarters, quarters).filter(lambda both: both[0] != both[1]))
    # Some last for ever, were it not for the dates.
    weekdays = draw(st.just(ALL_DAYS) | st.frozensets(st.integers(1, 7), min_size=1))
    near = st.integers(-5, 5).map(lambda days: change.date() + timedelta(days=days))
    valid_from = draw(st.none() | near)
    valid_until = draw(near if len(weekdays) == len(ALL_DAYS) else st.none() | near)
    if valid_from is not None and valid_until is not None and valid_from > valid_until:
        valid_from, valid_until = valid_until, valid_from
    moment = change + draw(st.integers(-3000, 3000)) * MINUTE
    return moment, Recurring(weekdays, hours, zone, valid_from, valid_until)


@settings(deadline=None, max_examples=400)
@given(around_a_change())
# The nights in which the clock is put forward and back: 02:30 is skipped in one, and twice in the other.
@example((utc(2026, 3, 28, 23), Recurring(ALL_DAYS, (time(0), time(2, 30)), COPENHAGEN)))
@example((utc(2026, 10, 24, 23), Recurring(ALL_DAYS, (time(22), time(2, 30)), COPENHAGEN)))
@example((utc(2026, 10, 25, 1), Recurring(ALL_DAYS, (time(22), time(2, 30)), COPENHAGEN)))
def test_it_lasts_as_the_clock_on_the_wall_says_minute_by_minute(case: tuple[datetime, Recurring]) -> None:
    moment, times = case
    assert Window(FIRST, times).active_until(moment) == minute_by_minute(moment, times)


def test_it_holds_from_its_first_moment_until_before_its_last() -> None:
    fridays = Window(FIRST, Recurring(frozenset({5}), (time(8), time(16)), COPENHAGEN))
    begin, end, moment = utc(2026, 11, 20, 7), utc(2026, 11, 20, 15), timedelta(microseconds=1)
    assert fridays.active_until(begin) == fridays.active_until(end - moment) == end
    assert fridays.active_until(begin - moment) is fridays.active_until(end) is None
    assert fridays.active_until(begin + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("times", "now", "until"),
    [
        pytest.param(Recurring(ALL_DAYS, (time(20), time(8)), COPENHAGEN), (28, 3), utc(2026, 3, 29, 6), id="forward"),
        pytest.param(Recurring(frozenset({6, 7}), None, COPENHAGEN), (28, 3), utc(2026, 3, 29, 22), id="a weekend"),
        pytest.param(
            Recurring(ALL_DAYS, None, COPENHAGEN, None, date(2026, 4, 2)), (28, 3), utc(2026, 4, 2, 22), id="days"
        ),
        # The night belongs to the day on which it begins.
        pytest.param(
            Recurring(ALL_DAYS, (time(20), time(8)), COPENHAGEN, None, date(2026, 3, 28)),
            (28, 3),
            utc(2026, 3, 29, 6),
            id="last night",
        ),
    ],
)
def test_examples(times: Recurring, now: tuple[int, int], until: datetime) -> None:
    moment = utc(2026, now[1], now[0], 20)
    assert Window(FIRST, times).active_until(moment) == until
    elsewhere = moment.astimezone(ZoneInfo("America/Havana"))
    found = Window(FIRST, times).active_until(elsewhere)
    assert found is not None
    assert (found, found.tzinfo) == (until, UTC)


@settings(deadline=None, max_examples=400)
@given(around_a_change(), st.sampled_from([timedelta(0), MINUTE, timedelta(days=40)]))
def test_one_without_pauses_lasts_as_if_it_were_followed_day_by_day(
    case: tuple[datetime, Recurring], earlier: timedelta
) -> None:
    moment, times = case
    dates = [None if one is None else one + earlier for one in (times.valid_from, times.valid_until)]
    daily = Recurring(ALL_DAYS, None, times.time_zone, *dates)
    until = found = daily.stretch_until(moment)
    while until is not None:
        found = until
        until = daily.stretch_until(found) if found - moment <= LOOK_AHEAD else None
    assert Window(FIRST, daily).active_until(moment) == found


def test_one_that_lasts_for_ever_is_not_followed_day_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    stretch = Recurring.stretch_until

    def counted(times: Recurring, now: datetime) -> datetime | None:
        asked.append(now)
        return stretch(times, now)

    monkeypatch.setattr(Recurring, "stretch_until", counted)
    assert Window(FIRST, Recurring(ALL_DAYS, None, COPENHAGEN)).active_until(utc(2026, 11, 1)) is not None
    assert len(asked) <= 2


def test_one_that_lasts_for_ever_has_an_end_by_which_it_is_asked_again() -> None:
    for_ever = Window(FIRST, Recurring(ALL_DAYS, None, COPENHAGEN))
    now = utc(2026, 11, 1, 12)
    until = for_ever.active_until(now)
    assert until is not None
    assert LOOK_AHEAD < until - now < LOOK_AHEAD + timedelta(days=2)
    again = for_ever.active_until(until)
    assert again is not None
    assert again > until


@given(
    st.tuples(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC))).filter(
        lambda both: both[0] != both[1]
    ),
    st.datetimes(timezones=st.just(UTC)),
)
def test_a_window_of_two_moments_is_from_the_one_until_before_the_other(
    both: tuple[datetime, datetime], now: datetime
) -> None:
    start, end = sorted(both)
    window = Window(FIRST, Once(start, end))
    assert window.active_until(now) == (end if start <= now < end else None)
    assert window.active_until(start) == end
    assert window.active_until(end) is None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Once(utc(2026, 1, 1), utc(2026, 1, 1)), "ends after it starts"),
        (lambda: Recurring(frozenset(), None, COPENHAGEN), "one at least"),
        (lambda: Recurring(frozenset({0, 1}), None, COPENHAGEN), "weekdays are"),
        (lambda: Recurring(ALL_DAYS, (time(7), time(7)), COPENHAGEN), "different times"),
        (lambda: Recurring(ALL_DAYS, None, "Europe"), "no time zone"),
        (lambda: Recurring(ALL_DAYS, None, COPENHAGEN, date(2026, 1, 2), date(2026, 1, 1)), "last date"),
    ],
)
def test_times_that_cannot_be_are_refused(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


HERE, THERE = UUID(int=11), UUID(int=12)
METER, OTHER = UUID(int=21), UUID(int=22)
SUBJECTS = {
    "the meter": Subject(METER, HERE, "GW-1"),
    "one beside it": Subject(OTHER, HERE, "GW-1"),
    "one in the house behind another gateway": Subject(OTHER, HERE, "GW-2"),
    "one elsewhere behind the same gateway": Subject(OTHER, THERE, "GW-1"),
    "one elsewhere": Subject(OTHER, THERE, None),
    "the gateway": Subject(None, None, "GW-1"),
    "the gateway of this house alone": Subject(None, HERE, "GW-1"),
    "another gateway": Subject(None, THERE, "GW-2"),
}


@pytest.mark.parametrize(
    ("target", "held"),
    [
        ({}, set(SUBJECTS)),
        ({"installation_id": METER}, {"the meter"}),
        (
            {"property_id": HERE},
            {
                "the meter",
                "one beside it",
                "one in the house behind another gateway",
                "the gateway of this house alone",
            },
        ),
        (
            {"gateway_id": "GW-1"},
            {
                "the meter",
                "one beside it",
                "one elsewhere behind the same gateway",
                "the gateway",
                "the gateway of this house alone",
            },
        ),
    ],
    ids=["of all", "of a meter", "of a property", "of a gateway"],
)
def test_it_is_of_what_is_within_its_target(target: dict[str, UUID | str], held: set[str]) -> None:
    window = Window(FIRST, Once(utc(2026, 1, 1), utc(2026, 1, 2)), **target)  # type: ignore[arg-type]  # one of them
    now = utc(2026, 1, 1, 12)
    assert {name for name, one in SUBJECTS.items() if open_now([window], now).held_until(one) is not None} == held


def test_of_several_windows_the_one_that_ends_last_holds() -> None:
    now = utc(2026, 1, 1, 12)
    windows = [
        Window(FIRST, Once(now - HOUR, now + 2 * HOUR)),
        Window(SECOND, Once(now - HOUR, now + 3 * HOUR), property_id=HERE),
        Window(THIRD, Once(now - HOUR, now + 9 * HOUR), property_id=THERE),
        Window(FOURTH, Once(now + HOUR, now + 9 * HOUR)),
    ]
    for order in permutations(windows):
        assert open_now(order, now).held_until(SUBJECTS["the meter"]) == (now + 3 * HOUR, SECOND)
        assert open_now(order, now).held_until(SUBJECTS["the gateway"]) == (now + 2 * HOUR, FIRST)
        assert open_now(order, now - 2 * HOUR).held_until(SUBJECTS["the meter"]) is None


NEAR = st.integers(-6, 6).map(lambda hours: utc(2026, 1, 1, 12) + hours * HOUR)
TIMES = st.one_of(
    st.tuples(NEAR, NEAR).filter(lambda both: both[0] < both[1]).map(lambda both: Once(*both)),
    st.sampled_from([Recurring(ALL_DAYS, None, COPENHAGEN), Recurring(frozenset({4}), (time(8), time(14)), "UTC")]),
)
TARGETS = st.sampled_from(
    [
        {},
        *({"installation_id": one} for one in (METER, OTHER)),
        *({"property_id": one} for one in (HERE, THERE)),
        *({"gateway_id": one} for one in ("GW-1", "GW-2")),
    ]
)
WINDOWS = st.lists(
    st.builds(lambda id_, times, target: Window(UUID(int=id_), times, **target), st.integers(1, 9), TIMES, TARGETS),
    max_size=12,
)


@settings(deadline=None)
@given(WINDOWS, NEAR)
def test_those_that_are_open_hold_what_they_hold_one_by_one(windows: list[Window], now: datetime) -> None:
    found = open_now(windows, now)
    for subject in SUBJECTS.values():
        ends = [
            (until, one.id) for one in windows if one.is_of(subject) and (until := one.active_until(now)) is not None
        ]
        assert found.held_until(subject) == max(ends, default=None)


def test_each_window_is_looked_at_once_for_however_many_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    active = Window.active_until

    def counted(window: Window, now: datetime) -> datetime | None:
        asked.append(window.id)
        return active(window, now)

    monkeypatch.setattr(Window, "active_until", counted)
    now = utc(2026, 1, 1, 12)
    found = open_now([Window(one, Once(now - HOUR, now + HOUR)) for one in (FIRST, SECOND)], now)
    for subject in SUBJECTS.values():
        assert found.held_until(subject) == (now + HOUR, SECOND)
    assert asked == [FIRST, SECOND]
