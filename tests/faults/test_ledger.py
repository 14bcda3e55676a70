"""The ledger finds whatever is lost, there twice, made up or untold."""

import itertools
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.faults.ledger import Correction, Found, Key, Refused, Sent, Told, faults

METER, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST: Key = (METER, NOON)
SECOND: Key = (METER, NOON + timedelta(hours=1))
THIRD: Key = (OTHER, NOON)
BAD = Refused("GW-1", "invalid_value", "{}")

SENT = [
    Sent("", b"1", accepted=((FIRST, 1.0), (SECOND, 2.0)), refused=(BAD,)),
    Sent("", b"2", accepted=((THIRD, 3.0),), refused=(BAD,)),
    Sent("", b"hello", dead=True),
    Sent("", b"3", accepted=((THIRD, 4.0),)),
]
IN_ORDER = Found(
    readings={FIRST: 1.0, SECOND: 2.0, THIRD: 4.0},
    corrections=[Correction(THIRD, 3.0, 4.0)],
    quarantined={BAD: 2},
    dead_letters=Counter([b"hello"]),
    told={METER: Told(SECOND[1], 2), OTHER: Told(NOON, 2)},
    fed=Counter([(FIRST, 1.0), (SECOND, 2.0), (THIRD, 4.0)]),
)


def test_what_is_where_it_belongs_is_in_order() -> None:
    assert faults(SENT, IN_ORDER, stamped=True) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda found: found.readings.pop(FIRST), "1 readings lost"),
        (lambda found: found.readings.update({(uuid4(), NOON): 1.0}), "1 readings that nobody sent"),
        (lambda found: found.readings.update({FIRST: 7.0}), "1 readings with a wrong value"),
        (lambda found: found.readings.update({THIRD: 3.0}), "1 readings with a wrong value"),
        (lambda found: found.corrections.append(Correction(THIRD, 3.0, 4.0)), "1 corrections there twice"),
        (lambda found: found.corrections.append(Correction(THIRD, 9.0, 4.0)), "1 corrections of what nobody sent"),
        (
            lambda found: found.corrections.append(Correction(FIRST, 1.0, 1.0)),
            "1 corrections of what was sent with one",
        ),
        (lambda found: found.quarantined.clear(), "1 refused readings lost"),
        (lambda found: found.quarantined.update({BAD._replace(reason="x"): 1}), "1 refused readings that nobody sent"),
        (lambda found: found.quarantined.update({BAD: 1}), "1 refused readings counted less often"),
        (lambda found: found.dead_letters.clear(), "1 dead letters lost"),
        (lambda found: found.dead_letters.update([b"1"]), "1 messages that should not be dead letters"),
        (lambda found: found.told.pop(OTHER), "1 installations that no event told of"),
        (lambda found: found.told.update({METER: Told(NOON, 2)}), "1 installations of whose newest reading"),
        (lambda found: found.told.update({METER: Told(SECOND[1], 1)}), "1 installations of which not every"),
        (lambda found: found.told.update({uuid4(): Told(NOON, 1)}), "1 installations told of with readings"),
    ],
    ids=itertools.count(),
)
def test_every_fault_is_found(spoil: Callable[[Found], object], told: str) -> None:
    found = deepcopy(IN_ORDER)
    spoil(found)
    found.fed = Counter(found.readings.items())
    (fault,) = faults(SENT, found, stamped=True)
    assert fault.startswith(told)


@pytest.mark.parametrize(
    ("fed", "told"),
    [
        ([(FIRST, 1.0), (THIRD, 4.0)], ["1 stored readings that the feed does not tell"]),
        ([(FIRST, 1.0), (SECOND, 2.0), (SECOND, 2.0), (THIRD, 4.0)], ["1 readings that the feed tells twice"]),
        (
            [(FIRST, 1.0), (SECOND, 2.0), (THIRD, 3.0)],
            ["1 stored readings that the feed does not tell", "1 readings that the feed tells twice or otherwise"],
        ),
    ],
    ids=itertools.count(),
)
def test_a_feed_that_does_not_tell_what_is_stored_is_found(fed: list[tuple[Key, float]], told: list[str]) -> None:
    found = deepcopy(IN_ORDER)
    found.fed = Counter(fed)
    for fault, expected in zip(faults(SENT, found, stamped=True), told, strict=True):
        assert fault.startswith(expected)


def test_without_the_broker_s_stamps_either_of_two_values_may_stand() -> None:
    found = deepcopy(IN_ORDER)
    found.readings[THIRD] = 3.0
    found.fed = Counter(found.readings.items())
    found.corrections.clear()
    assert faults(SENT, found, stamped=False) == []
    found.readings[THIRD] = 5.0
    found.fed = Counter(found.readings.items())
    assert len(faults(SENT, found, stamped=False)) == 1


def test_dead_letters_and_refused_readings_may_be_there_more_often_than_sent_after_a_crash() -> None:
    found = deepcopy(IN_ORDER)
    found.dead_letters.update([b"hello"])
    found.quarantined[BAD] = 3
    assert faults(SENT, found, stamped=True) == []
