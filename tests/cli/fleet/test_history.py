"""A simulated history: every meter at every tick is sent once, some of it again, some of it late."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from cli.fleet.gateways import Gateway, Ticks
from cli.fleet.layout import Layout
from cli.fleet.schedule import Batch, Kind, history, moment
from shared.messages.gateway import GatewayMessage, GatewayReading
from tests.cli.fleet.fleets import NOW, WEEK, fleet


def sent(batches: Iterable[Batch], ticks: Ticks) -> list[tuple[str, GatewayReading]]:
    return [(batch.gateway.id, reading) for batch in batches for reading in batch.gateway.readings(ticks, batch.slots)]


def a_history(gateways: list[Gateway], *, retransmit: float = 0.0, late: float = 0.0, size: int = 50) -> list[Batch]:
    return list(history(gateways, WEEK, readings_per_message=size, retransmit=retransmit, late=late, seed=1))


def test_a_message_is_a_gateway_message_of_its_gateway_and_names_ids_or_serials() -> None:
    by_id, by_serial, *_ = fleet()
    for of in (by_id, by_serial):
        message = msgspec.json.decode(of.message(of.readings(WEEK, range(10))), type=GatewayMessage)
        assert message.gateway_id == of.id
        assert len(message.readings) == 10
        assert message.sent_at == message.readings[-1].timestamp + timedelta(seconds=12)
    assert all(reading.meter_serial is None for reading in by_id.readings(WEEK, range(10)))
    assert all(reading.installation_id is None for reading in by_serial.readings(WEEK, range(10)))


def test_a_history_has_every_meter_at_every_tick_exactly_once() -> None:
    gateways = fleet()
    keys = Counter(
        (gateway_id, reading.installation_id or reading.meter_serial, reading.timestamp)
        for gateway_id, reading in sent(a_history(gateways), WEEK)
    )
    assert len(keys) == 3 * 12 * WEEK.count
    assert set(keys.values()) == {1}


def test_retransmitted_and_late_batches_repeat_nothing_new_and_lose_nothing() -> None:
    gateways = fleet()
    batches = a_history(gateways, retransmit=0.3, late=0.2)
    plain = {(batch.gateway.id, batch.slots) for batch in a_history(gateways)}
    by_kind = {kind: [(b.gateway.id, b.slots) for b in batches if b.kind is kind] for kind in Kind}
    assert set(by_kind[Kind.ON_TIME]) | set(by_kind[Kind.LATE]) == plain
    assert len(by_kind[Kind.ON_TIME]) + len(by_kind[Kind.LATE]) == len(plain)
    assert by_kind[Kind.AGAIN]
    assert set(by_kind[Kind.AGAIN]) <= set(by_kind[Kind.ON_TIME])
    assert [batch.kind for batch in batches[-len(by_kind[Kind.LATE]) :]] == [Kind.LATE] * len(by_kind[Kind.LATE])


def test_all_or_no_batches_can_be_late_or_sent_again() -> None:
    gateways = fleet()
    assert {batch.kind for batch in a_history(gateways, late=1.0)} == {Kind.LATE}
    assert Counter(batch.kind for batch in a_history(gateways, retransmit=1.0)).most_common() == [
        (Kind.ON_TIME, 123),
        (Kind.AGAIN, 123),
    ]


def test_time_goes_on_for_all_gateways_together() -> None:
    ticks = [batch.slots.start for batch in a_history(fleet())]
    assert ticks == sorted(ticks)


def test_gateways_with_different_numbers_of_meters_all_send_theirs() -> None:
    small, large = fleet(Layout("a", 1, 1, seed=1))[0], fleet(Layout("b", 1, 70, seed=1))[0]
    counted = Counter(gateway_id for gateway_id, _ in sent(a_history([small, large]), WEEK))
    assert counted == {"A-0001": WEEK.count, "B-0001": 70 * WEEK.count}


def test_a_moment_has_every_meter_once() -> None:
    readings = sent(moment(fleet(), readings_per_message=5), Ticks(NOW, 30, 1))
    assert len(readings) == 36
    assert {reading.timestamp for _, reading in readings} == {datetime.fromtimestamp(NOW, UTC)}


def test_a_silent_gateway_sends_nothing_from_then_on() -> None:
    since = WEEK[WEEK.count // 2]
    counted = Counter(
        gateway_id for gateway_id, _ in sent(a_history(fleet(silent_gateways={"FLEET-0002": since})), WEEK)
    )
    assert counted == {"FLEET-0001": 12 * 168, "FLEET-0002": 12 * 84, "FLEET-0003": 12 * 168}
