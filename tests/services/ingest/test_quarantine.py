"""What a row of quarantine says of the same reading that was refused many times, now and on replays."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.delivery import GatewayDelivery
from services.ingest.judging import MAX_CLAIM, Quarantined
from services.ingest.quarantine import keep
from services.ingest.reasons import Reason, Refused
from shared.topology import GatewayFormat
from tests.support.messages import eventually, publish_as_gateway
from tests.support.quarantine import quarantined
from tests.support.registry import create_building
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def refused(
    minute: int,
    *,
    may_correct: bool = True,
    is_replay: bool = False,
    original: str = "{}",
    content: GatewayFormat = GatewayFormat.READINGS,
) -> Quarantined:
    received_at = NOON + timedelta(minutes=minute)
    delivery = GatewayDelivery("GW-1", b"", received_at, may_correct, content, is_replay)
    return Quarantined(delivery, Refused(Reason.MALFORMED, f"at {minute}"), original)


async def kept(engine: AsyncEngine, *batches: list[Quarantined]) -> list[tuple[int, int, int, bool]]:
    """How often, and in which minutes first and last, each row was seen, and whether it may correct."""
    async with engine.begin() as connection:
        for batch in batches:
            await keep(connection, batch)
    return [
        (row.seen_count, _minute(row.first_seen_at), _minute(row.last_seen_at), row.may_correct)
        for row in await quarantined(engine)
    ]


def _minute(time: datetime) -> int:
    return int((time - NOON).total_seconds()) // 60


SEEN: list[tuple[list[Quarantined], tuple[int, int, int, bool]]] = [
    ([refused(5)], (1, 5, 5, True)),
    ([refused(5), refused(7), refused(6)], (3, 5, 7, True)),
    ([refused(5), refused(5, is_replay=True)], (1, 5, 5, True)),
    ([refused(5, is_replay=True), refused(7)], (1, 5, 7, True)),
    ([refused(5, may_correct=False), refused(9, may_correct=False)], (2, 5, 9, False)),
    # That it came again at 9 says nothing about when it was sent again.
    ([refused(5), refused(9, may_correct=False)], (2, 5, 5, True)),
    ([refused(9, may_correct=False), refused(5)], (2, 5, 5, True)),
]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one after the other"])
async def test_a_row_says_how_often_and_when_it_was_transmitted(engine: AsyncEngine, *, at_once: bool) -> None:
    for seen, row in SEEN:
        rows = await kept(engine, *([seen] if at_once else [[one] for one in seen]))
        count, *rest = rows[0]
        if not at_once and seen[0].delivery.is_replay:
            count -= 1  # what is first seen on a replay, for a reason that is new, was seen once all the same
        assert [(count, *rest)] == [row], seen
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM quarantined_reading"))


async def test_a_replay_that_is_refused_again_waits_again(engine: AsyncEngine) -> None:
    await kept(engine, [refused(5), refused(5, original="[]")])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE quarantined_reading SET replayed_at = now()"))
    await kept(engine, [refused(5, is_replay=True)])
    assert [row.original for row in await quarantined(engine, waiting=True)] == [b"{}"]


async def test_the_same_text_in_another_format_is_another_row(engine: AsyncEngine) -> None:
    rows = await kept(engine, [refused(5), refused(5, content=GatewayFormat.WMBUS)])
    assert len(rows) == 2


@pytest.mark.usefixtures("ingest")
async def test_what_a_batch_claims_stays_with_a_reading_that_is_refused_for_it(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    reading = '{"meter_serial": "70000000", "timestamp": "2026-03-01T12:00:00Z", "value": 1.50}'
    for body in (f'{{"readings": [{reading}], "gateway_id": "GW-x"}}', reading.replace("{", '{"gateway_id": "GW-x", ')):
        await publish_as_gateway(vhost.url, building.gateway_id, body.encode())

    async def two() -> bool:
        return len(await quarantined(engine)) == 2

    await eventually(two)
    originals = {row.original.decode() for row in await quarantined(engine)}
    assert originals == {
        f'{{"gateway_id": "GW-x", "readings": [{reading}]}}',
        reading.replace("{", '{"gateway_id": "GW-x", '),
    }
    # Such an original is a message with the same fault, and no other.
    for row in await quarantined(engine):
        await publish_as_gateway(vhost.url, building.gateway_id, row.original)

    async def twice() -> bool:
        return [(row.reason, row.seen_count) for row in await quarantined(engine)] == [("gateway_mismatch", 2)] * 2

    await eventually(twice)


@pytest.mark.usefixtures("ingest")
async def test_a_claim_that_is_no_gateway_id_is_not_kept_with_each_reading_at_its_length(
    engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    batch = {"gateway_id": "x" * 10_000, "readings": [{"timestamp": "2026-03-01T12:00:00Z", "value": 1}] * 2}
    await publish_as_gateway(vhost.url, building.gateway_id, batch)

    async def one() -> bool:
        return [row.reason for row in await quarantined(engine)] == ["gateway_mismatch"]

    await eventually(one)
    assert len((await quarantined(engine))[0].original) < MAX_CLAIM + 100
