"""The age of what flows through ingest is that of messages that wait, not that of what is replayed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from services.ingest.delivery import DeadLetter, GatewayDelivery
from services.ingest.flow_metrics import FlowMetrics
from shared.group_commit import GroupCommit

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def noon() -> datetime:
    return NOON


def delivery(age: timedelta, *, is_replay: bool = False) -> GatewayDelivery:
    return GatewayDelivery("GW-1", b"{}", NOON - age, may_correct=True, is_replay=is_replay)


FRESH = delivery(timedelta(seconds=3))
REPLAY = delivery(timedelta(days=30), is_replay=True)


def test_the_lag_of_a_commit_is_that_of_its_oldest_message_that_is_no_replay() -> None:
    registry = CollectorRegistry()
    flow = FlowMetrics(registry)
    flow.committed([REPLAY, FRESH], noon)
    flow.committed([REPLAY], noon)
    assert registry.get_sample_value("mbus_ingest_lag_seconds_count") == 1
    assert registry.get_sample_value("mbus_ingest_lag_seconds_sum") == 3
    assert registry.get_sample_value("mbus_ingest_batch_messages_sum") == 3


async def test_the_oldest_in_hand_is_no_replay() -> None:
    async def write(items: Sequence[GatewayDelivery]) -> list[DeadLetter | None]:
        return [None for _ in items]

    registry = CollectorRegistry()
    # It does not run, so that what is submitted stays in hand.
    commits = GroupCommit[GatewayDelivery, DeadLetter | None](
        write, weigh=lambda _: 1, max_weight=1, writers=1, refuses_data=lambda _: False
    )
    FlowMetrics(registry).watch(commits, noon)
    waiting: list[asyncio.Future[DeadLetter | None]] = []
    for submitted, age in ((REPLAY, 0.0), (FRESH, 3.0)):
        waiting.append(commits.enqueue(submitted))
        assert registry.get_sample_value("mbus_ingest_in_hand_oldest_seconds") == age
    assert registry.get_sample_value("mbus_ingest_in_hand_messages") == len(waiting)
