"""The verdict on a reading, the plan of a merge, and what a commit tells: pure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.ingest.delivery import GatewayDelivery
from services.ingest.events import INSTALLATIONS_PER_EVENT, readings_stored
from services.ingest.merge import plan_rounds
from services.ingest.moments import Moments, moment
from services.ingest.payload import SentReading
from services.ingest.reasons import Reason, Refused
from services.ingest.registry import Installation, Registry
from services.ingest.verdicts import (
    FUTURE_TOLERANCE,
    Accepted,
    Sender,
    judge,
    judge_usual,
    refuse_contradictions,
)
from shared.messages.readings_stored import MAX_EVENT_BYTES, encode
from shared.models import Medium, UnitOfMeasure

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TENANT, OTHER_TENANT = uuid4(), uuid4()


def installed(
    days_ago: int, *, until_days_ago: int | None = None, tenant_id: UUID = TENANT, id_: UUID | None = None
) -> Installation:
    ended = None if until_days_ago is None else NOW - timedelta(days=until_days_ago)
    installed_at = NOW - timedelta(days=days_ago)
    return Installation(id_ or uuid4(), tenant_id, installed_at, ended, Medium.HEAT, UnitOfMeasure.KWH, None)


HERE, ENDED = installed(100), installed(200, until_days_ago=100)
FOREIGN = installed(100, tenant_id=OTHER_TENANT)


def registry() -> Registry:
    known = Registry(
        tenants_of_gateways={"GW-1": TENANT, "GW-GONE": TENANT},
        disabled_gateways={"GW-GONE": NOW - timedelta(days=1)},
    )
    for installation in (HERE, ENDED, FOREIGN):
        known.learn(installation)
    known.meters_of(TENANT).by_serial["70000000"] = [ENDED, HERE]
    known.meters_of(TENANT).by_serial["70000001"] = [HERE]
    return known


def delivery(gateway_id: str = "GW-1", *, received_at: datetime = NOW, may_correct: bool = True) -> GatewayDelivery:
    return GatewayDelivery(gateway_id, b"", received_at, may_correct)


def verdict(
    *, sender: str = "GW-1", claimed: str | None = None, at: datetime | str = NOW, **fields: object
) -> Accepted | Refused:
    """The careful verdict; the quick one must be the same, or leave the reading to it."""
    named = {"installation_id": str(HERE.id)} if not {"installation_id", "meter_serial"} & set(fields) else {}
    timestamp = at if isinstance(at, str) else at.isoformat()
    reading = SentReading(timestamp=timestamp, value=1.5, **(named | fields))  # type: ignore[arg-type] # a case's own
    who, known = Sender(delivery(sender), claimed), registry()
    careful = judge(reading, who, registry=known, now=NOW)
    latest = moment(NOW + FUTURE_TOLERANCE)
    quick, odd = judge_usual([reading], who, registry=known, moments=Moments(), latest=latest)
    assert (quick, odd) in (([careful], []), ([], [0]))
    return careful


def reason(result: Accepted | Refused) -> Reason | None:
    return result.reason if isinstance(result, Refused) else None


def test_a_good_reading_is_accepted_with_its_installation_and_tenant() -> None:
    result = verdict(rssi_dbm=-70.6, battery_level_pct=99.5)
    assert isinstance(result, Accepted)
    assert result.installation is HERE
    assert (result.at, result.value, result.rssi_dbm, result.battery_level_pct) == (moment(NOW), 1.5, -71, 100)


@pytest.mark.parametrize(
    "usual",
    [{}, {"meter_serial": "70000001"}, {"rssi_dbm": -70, "battery_level_pct": 50}, {"claimed": "GW-1"}],
    ids=str,
)
def test_what_is_usual_needs_no_care(usual: dict[str, str]) -> None:
    claimed = usual.pop("claimed", None)
    named = usual if "meter_serial" in usual else {"installation_id": str(HERE.id)} | usual
    reading = SentReading(timestamp=NOW.isoformat(), value=1.5, **named)  # type: ignore[arg-type] # a case's own
    latest = moment(NOW + FUTURE_TOLERANCE)
    accepted, odd = judge_usual(
        [reading], Sender(delivery(), claimed), registry=registry(), moments=Moments(), latest=latest
    )
    assert (len(accepted), odd) == (1, [])


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"sender": "GW-2"}, Reason.UNKNOWN_GATEWAY),
        ({"claimed": "GW-2"}, Reason.GATEWAY_MISMATCH),
        ({"gateway_id": "GW-2"}, Reason.GATEWAY_MISMATCH),
        ({"installation_id": None}, Reason.NO_INSTALLATION),
        ({"installation_id": str(UUID(int=1))}, Reason.UNKNOWN_INSTALLATION),
        ({"meter_serial": "00000000"}, Reason.UNKNOWN_INSTALLATION),
        ({"installation_id": str(FOREIGN.id)}, Reason.FOREIGN_INSTALLATION),
        ({"installation_id": str(ENDED.id)}, Reason.INSTALLATION_DELETED),
        ({"installation_id": "7f6c"}, Reason.INVALID_INSTALLATION_ID),
        ({"installation_id": ""}, Reason.INVALID_INSTALLATION_ID),
        ({"installation_id": "\ud800"}, Reason.INVALID_INSTALLATION_ID),
        ({"installation_id": str(HERE.id).upper()}, None),
        ({"installation_id": HERE.id.hex}, None),
        ({"at": "2026-11-01T05:00:00"}, Reason.NAIVE_TIMESTAMP),
        ({"at": "2026-02-30T05:00:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"at": "\ud800"}, Reason.INVALID_TIMESTAMP),
        ({"at": "9999-12-31T23:59:00-12:00"}, Reason.IN_THE_FUTURE),
        ({"sender": "GW-2", "claimed": "GW-1"}, Reason.GATEWAY_MISMATCH),
        ({"at": NOW + timedelta(hours=1, seconds=1)}, Reason.IN_THE_FUTURE),
        ({"at": HERE.installed_at - timedelta(days=1, seconds=1)}, Reason.BEFORE_INSTALLATION),
        ({"at": datetime.max.replace(tzinfo=UTC)}, Reason.IN_THE_FUTURE),
        ({"at": datetime.min.replace(tzinfo=UTC)}, Reason.BEFORE_INSTALLATION),
        ({"rssi_dbm": 51}, Reason.INVALID_RSSI),
        ({"battery_level_pct": 255}, Reason.INVALID_BATTERY_LEVEL),
        ({"sender": "GW-GONE"}, Reason.GATEWAY_DISABLED),
        ({"sender": "GW-GONE", "at": NOW - timedelta(hours=22, minutes=59)}, Reason.GATEWAY_DISABLED),
        ({"sender": "GW-GONE", "at": NOW - timedelta(hours=23)}, None),
        ({"claimed": "GW-1", "gateway_id": "GW-1"}, None),
        ({"at": NOW + timedelta(hours=1)}, None),
        ({"at": HERE.installed_at - timedelta(days=1)}, None),
        ({"installation_id": str(ENDED.id), "at": NOW - timedelta(days=101)}, None),
    ],
    ids=str,
)
def test_each_case_has_its_reason(case: dict[str, object], expected: Reason | None) -> None:
    assert reason(verdict(**case)) is expected  # type: ignore[arg-type] # a case names the arguments that it changes


@pytest.mark.parametrize(("days_ago", "installation"), [(150, ENDED), (100, HERE), (5, HERE), (300, HERE)], ids=str)
def test_a_serial_means_the_installation_that_had_it_then(days_ago: int, installation: Installation) -> None:
    result = verdict(meter_serial="70000000", at=NOW - timedelta(days=days_ago))
    if days_ago == 300:  # before either: judged, and refused, as one of the meter that is there now
        assert reason(result) is Reason.BEFORE_INSTALLATION
    else:
        assert isinstance(result, Accepted)
        assert result.installation is installation


def test_another_value_for_the_same_meter_and_time_in_one_message_is_refused_and_a_repetition_is_not() -> None:
    first = verdict()
    assert isinstance(first, Accepted)
    other, later = replace(first, value=9.0), replace(first, key=first.key + 1)
    refused = Refused(Reason.NO_INSTALLATION, "")
    results = list(refuse_contradictions([first, refused, other, first, later]))
    assert [reason(result) for result in results] == [
        None,
        Reason.NO_INSTALLATION,
        Reason.CONTRADICTION,
        None,
        None,
    ]


METERS = [installed(100, id_=UUID(int=n)) for n in range(3)]
Sent = tuple[int, int, float, int, bool]
sent = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 12), st.booleans()
)


def accepted(one: Sent) -> Accepted:
    installation, hour, value, received, may_correct = one
    at = moment(NOW + timedelta(hours=hour))
    by = delivery(received_at=NOW + timedelta(seconds=received), may_correct=may_correct)
    meter = METERS[installation]
    return Accepted(meter.first_key + at, meter, at, value, None, None, by)


@given(st.lists(sent, max_size=40), st.lists(sent, max_size=6))
def test_merging_the_rounds_leaves_what_was_transmitted_last(batch: list[Sent], stored: list[Sent]) -> None:
    table, newest = Table(), dict[int, tuple[float, int]]()
    for reading in (accepted(one) for one in stored):
        table.merge(reading, may_correct=False)
    for key, versions in table.versions.items():
        newest[key] = versions[-1]
    readings = [accepted(one) for one in batch]
    for reading in sorted(readings, key=lambda reading: (not reading.delivery.may_correct, reading.delivery.received)):
        known, received = newest.get(reading.key), reading.delivery.received
        if known is None or (reading.delivery.may_correct and received > known[1]):
            newest[reading.key] = reading.value, received
    for one_round in plan_rounds(readings):
        for reading in one_round.readings.values():
            table.merge(reading, may_correct=one_round.corrects)
    assert {key: versions[-1][0] for key, versions in table.versions.items()} == {
        key: value for key, (value, _) in newest.items()
    }
    for versions in table.versions.values():
        assert all(before[0] != after[0] for before, after in pairwise(versions))


class Table:
    """What the merge's SQL makes of one reading after the other: every version that a key has had."""

    def __init__(self) -> None:
        self.versions: dict[int, list[tuple[float, int]]] = {}

    def merge(self, reading: Accepted, *, may_correct: bool) -> None:
        versions = self.versions.setdefault(reading.key, [])
        received = reading.delivery.received
        if not versions or (may_correct and reading.value != versions[-1][0] and received > versions[-1][1]):
            versions.append((reading.value, received))


def test_what_may_be_older_than_it_looks_fills_only_what_the_others_leave_empty() -> None:
    rounds = plan_rounds(
        [accepted((0, 0, 1.0, 5, True)), accepted((0, 0, 2.0, 9, False)), accepted((1, 0, 3.0, 2, False))]
    )
    assert [one.corrects for one in rounds] == [True, False]
    table = Table()
    for one_round in rounds:
        for reading in one_round.readings.values():
            table.merge(reading, may_correct=one_round.corrects)
    assert [[value for value, _ in versions] for versions in table.versions.values()] == [[1.0], [3.0]]


def test_a_thousand_values_for_one_key_in_one_message_need_one_round() -> None:
    assert len(plan_rounds([accepted((0, 0, float(n), 5, True)) for n in range(1000)])) == 1


def test_a_commit_tells_the_newest_reading_of_each_installation_once_a_tenant() -> None:
    readings = [accepted((n % 2, n % 3, float(n), n, True)) for n in range(6)]
    readings.append(replace(readings[0], installation=FOREIGN, delivery=delivery("GW-9")))
    events = readings_stored(readings, NOW)
    assert {event.data.tenant_id for event in events} == {TENANT, OTHER_TENANT}
    ours = next(event.data for event in events if event.data.tenant_id == TENANT)
    assert {(one.installation_id, one.timestamp, one.count) for one in ours.installations} == {
        (METERS[0].id, NOW + timedelta(hours=2), 3),
        (METERS[1].id, NOW + timedelta(hours=2), 3),
    }
    assert ours.gateways == ["GW-1"]


def test_of_two_values_for_the_newest_time_the_one_that_was_received_later_is_told() -> None:
    (event,) = readings_stored([accepted((0, 0, 2.0, 9, True)), accepted((0, 0, 1.0, 5, True))], NOW)
    (told,) = event.data.installations
    assert (told.value, told.received_at) == (2.0, NOW + timedelta(seconds=9))
    (event,) = readings_stored([accepted((0, 0, 2.0, 9, False))], NOW)
    assert event.data.installations[0].received_at is None


def test_a_large_commit_is_told_in_parts_below_the_size_limit() -> None:
    wide = [
        Accepted(
            n,
            installed(1, id_=UUID(int=n)),
            moment(NOW),
            -1.7976931348623157e308,
            -200,
            100,
            delivery(f"{n:064d}"),
        )
        for n in range(2 * INSTALLATIONS_PER_EVENT + 1)
    ]
    events = readings_stored(wide, NOW)
    assert [len(event.data.installations) for event in events] == [INSTALLATIONS_PER_EVENT, INSTALLATIONS_PER_EVENT, 1]
    assert max(len(encode(event)) for event in events) <= MAX_EVENT_BYTES
    assert len({event.id for event in events}) == 3
