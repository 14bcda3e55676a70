"""When gateways were heard: one that sends is alive, whatever becomes of the readings in its messages."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text

from services.ingest.delivery import GatewayDelivery
from services.ingest.registry import Registry

PRECISION = timedelta(seconds=1)
"""What is known is not told again before. Silence is a matter of hours; and two writers at work would wait for each
other's commit at each gateway that they share, which costs half as much again as a small batch."""

# In the order of the key, for writers at once.
_WRITE = text(
    """
    INSERT INTO gateway_heard AS known (gateway_id, heard_at)
    SELECT * FROM unnest(:gateway_ids, :heard_at) AS newly (gateway_id, heard_at) ORDER BY gateway_id
    ON CONFLICT (gateway_id) DO UPDATE SET heard_at = excluded.heard_at WHERE known.heard_at < excluded.heard_at
    """
).bindparams(bindparam("gateway_ids", type_=ARRAY(Text())), bindparam("heard_at", type_=ARRAY(DateTime(timezone=True))))


class HeardMemory:
    """What this process has written; for gateways that are registered, so that there are never too many."""

    def __init__(self) -> None:
        self._written: dict[str, datetime] = {}

    def news(self, heard: Mapping[str, datetime]) -> dict[str, datetime]:
        """What of `heard` is worth writing."""
        written = self._written
        return {
            gateway_id: at
            for gateway_id, at in heard.items()
            if (before := written.get(gateway_id)) is None or at - before >= PRECISION
        }

    def advance(self, committed: Mapping[str, datetime]) -> None:
        """Remember what is written for good."""
        for gateway_id, at in committed.items():
            self._written[gateway_id] = max(at, self._written.get(gateway_id, at))


def gateways_heard(deliveries: Iterable[GatewayDelivery], registry: Registry) -> dict[str, datetime]:
    """For each gateway in use when its newest message was received. Replays are none of its messages."""
    heard: dict[str, datetime] = {}
    for delivery in deliveries:
        gateway_id, received_at = delivery.gateway_id, delivery.received_at
        if delivery.is_replay or not registry.is_in_use(gateway_id):
            continue
        if received_at > heard.get(gateway_id, received_at - received_at.resolution):
            heard[gateway_id] = received_at
    return heard


async def write_heard(connection: AsyncConnection, heard: Mapping[str, datetime]) -> None:
    """Note when gateways were heard, where that is later than what is known."""
    if heard:
        await connection.execute(_WRITE, {"gateway_ids": list(heard), "heard_at": list(heard.values())})
