"""What goes out now, together, later or never, with what waits at one subscription."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.alerts.rules.digests import Held, Plan, Waiting, plan
from services.alerts.rules.maintenance import Subject
from shared.models import DroppedBecause

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WAIT = timedelta(seconds=30)
LATER = NOW + timedelta(hours=3)
WINDOW = UUID(int=99)
HERE, THERE = ("property", "here"), ("property", "there")


def subject(number: int) -> Subject:
    return Subject(installation_id=UUID(int=number), property_id=None, gateway_id=None)


def waiting(position: int, kind: str = "stale", *, alert: int | None = None, **fields: object) -> Waiting:
    """An event of an installation's alert, which has waited for long enough; its number is its position too."""
    values: dict[str, object] = {
        "since": NOW - WAIT,
        "group": HERE,
        "subject": subject(alert or position),
        "alert_id": UUID(int=alert or position),
        "alert_is_open": kind != "recovered",
    }
    return Waiting(UUID(int=position), position, f"installation.{kind}", **{**values, **fields})  # type: ignore[arg-type]


def planned(*ones: Waiting, held: frozenset[int] = frozenset(), at_most: int = 200) -> Plan:
    """`held` are the numbers of subjects for which a window holds until `LATER`."""
    within = {subject(number) for number in held}

    def window(of: Subject) -> Held | None:
        return (LATER, WINDOW) if of in within else None

    return plan(ones, now=NOW, wait=WAIT, at_most=at_most, held=window)


def positions(made: Plan) -> list[list[int]]:
    return [[one.position for one in digest] for digest in made.digests]


def test_what_is_of_one_group_goes_together_in_its_order() -> None:
    made = planned(waiting(1), waiting(2, group=THERE), waiting(3, "recovered", alert=1), waiting(4, group=THERE))
    assert positions(made) == [[1, 3], [2, 4]]
    assert not made.postponed
    assert not made.dropped


def test_a_group_waits_until_its_first_has_waited_for_long_enough() -> None:
    just = NOW - WAIT + timedelta(microseconds=1)
    assert positions(planned(waiting(1, since=just))) == []
    assert positions(planned(waiting(1), waiting(2, since=NOW), waiting(3, group=THERE, since=just))) == [[1, 2]]


def test_a_digest_has_an_end_and_the_rest_stays_as_it_is() -> None:
    made = planned(*(waiting(number) for number in range(1, 6)), at_most=2)
    assert positions(made) == [[1, 2]]
    assert made == Plan(digests=made.digests)


def test_events_of_an_alert_go_together_though_its_meter_moved_to_another_property() -> None:
    assert positions(planned(waiting(1), waiting(2, "recovered", alert=1, group=THERE))) == [[1, 2]]


def test_while_an_earlier_one_of_its_alert_is_on_its_way_it_waits_for_that_and_holds_up_no_other() -> None:
    made = planned(waiting(2, "recovered", alert=1, earlier_until=LATER), waiting(3))
    assert positions(made) == [[3]]
    assert [(one.position, until, window) for one, until, window in made.postponed] == [(2, LATER, None)]


def test_a_silence_within_a_window_waits_for_its_end() -> None:
    made = planned(waiting(1), waiting(2), held=frozenset({1}))
    assert positions(made) == [[2]]
    assert [(one.position, until, window) for one, until, window in made.postponed] == [(1, LATER, WINDOW)]


def test_one_that_waits_for_that_already_is_not_written_again() -> None:
    assert planned(waiting(1, since=LATER, was_held=True), held=frozenset({1})) == Plan()
    longer = planned(waiting(1, since=LATER - WAIT, was_held=True), held=frozenset({1}))
    assert [until for _, until, _ in longer.postponed] == [LATER]


def test_when_the_window_is_over_what_is_still_silent_is_told() -> None:
    assert positions(planned(waiting(1, was_held=True))) == [[1]]


def test_what_a_window_held_and_is_over_is_never_told_nor_its_end() -> None:
    for held in (frozenset({1}), frozenset[int]()):
        one = waiting(1, was_held=True, since=LATER, alert_is_open=False)
        made = planned(one, waiting(2, "recovered", alert=1), held=held)
        assert [(one.position, why) for one, why in made.dropped] == [
            (1, DroppedBecause.MAINTENANCE),
            (2, DroppedBecause.MAINTENANCE),
        ]
        assert not made.digests
        assert not made.postponed
    # Nor where its end is none of what the subscription hears of.
    made = planned(waiting(1, was_held=True, since=LATER, alert_is_open=False))
    assert [why for _, why in made.dropped] == [DroppedBecause.MAINTENANCE]


def test_an_end_is_told_within_a_window_where_its_silence_was_before() -> None:
    assert positions(planned(waiting(2, "recovered", alert=1), held=frozenset({1}))) == [[2]]


def test_a_short_silence_outside_windows_is_told_with_its_end() -> None:
    assert positions(planned(waiting(1, alert_is_open=False), waiting(2, "recovered", alert=1))) == [[1, 2]]


def test_a_reminder_is_told_only_of_what_is_open_unmarked_and_in_no_window() -> None:
    made = planned(
        waiting(1, "reminder"),
        waiting(2, "reminder", alert_is_open=False),
        waiting(3, "reminder", alert_is_marked=True),
        waiting(4, "reminder"),
        held=frozenset({4}),
    )
    assert positions(made) == [[1]]
    assert [(one.position, why) for one, why in made.dropped] == [
        (2, DroppedBecause.OVER),
        (3, DroppedBecause.OVER),
        (4, DroppedBecause.MAINTENANCE),
    ]


def test_what_is_of_no_alert_goes_alone_whatever_holds() -> None:
    test = Waiting(UUID(int=7), 7, "subscription.test", since=NOW - WAIT, group=("alone", "7"))
    assert positions(planned(waiting(1), test, held=frozenset({1}))) == [[7]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stale", "recovered", "reminder"]),
            st.integers(1, 3),
            st.booleans(),
            st.booleans(),
            st.sampled_from([HERE, THERE]),
            st.sampled_from([None, LATER]),
        ),
        max_size=12,
    ),
    st.frozensets(st.integers(1, 3)),
)
def test_each_is_told_at_most_once_and_an_alerts_events_in_their_order(
    made: list[tuple[str, int, bool, bool, tuple[str, str], datetime | None]], held: frozenset[int]
) -> None:
    ones = [
        waiting(
            position, kind, alert=alert, was_held=was_held, alert_is_open=is_open, group=group, earlier_until=earlier
        )
        for position, (kind, alert, was_held, is_open, group, earlier) in enumerate(made, start=10)
    ]
    result = planned(*ones, held=held)
    done = [one for digest in result.digests for one in digest]
    done += [one for one, _, _ in result.postponed] + [one for one, _ in result.dropped]
    assert len(done) == len({one.position for one in done})
    message_of_alert: dict[UUID | None, int] = {}
    for number, digest in enumerate(result.digests):
        assert [one.position for one in digest] == sorted(one.position for one in digest)
        for told in digest:
            # Else there would be two messages with events of one alert on their way at once.
            assert message_of_alert.setdefault(told.alert_id, number) == number
            assert told.event_type == "installation.recovered" or told.subject not in {subject(one) for one in held}
