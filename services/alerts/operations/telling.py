"""The deliveries of events, to the exchange and to subscriptions: made in the transaction of what they tell of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from shared.messages.alert_events import MOST_ADDRESSES, GatewayAlertEvent, InstallationAlertEvent

MOMENT = DateTime(timezone=True)

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When an event is to be published first: whatever a clock says, which may be what is wrong."""

# In the order of the events, which `position` keeps.
TO_EXCHANGE = text(
    """
    INSERT INTO delivery (id, alert_id, tenant_id, event_type, event, created_at, next_attempt_at)
    SELECT made.id, made.alert_id, made.tenant_id, made.event_type, cast(made.event AS jsonb), made.at, :at_once
    FROM unnest(:ids, :alert_ids, :tenant_ids, :types, :events, :made) WITH ORDINALITY
        AS made (id, alert_id, tenant_id, event_type, event, at, number)
    ORDER BY made.number
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("alert_ids", type_=ARRAY(Uuid())),
    bindparam("tenant_ids", type_=ARRAY(Uuid())),
    bindparam("types", type_=ARRAY(Text())),
    bindparam("events", type_=ARRAY(Text())),
    bindparam("made", type_=ARRAY(MOMENT)),
    bindparam("at_once", value=AT_ONCE, type_=MOMENT),
)

# What is told of a gateway's meters is told to one that names properties of those in them, as in the live stream.
METERS_IN_PROPERTIES = f"""(
    SELECT jsonb_build_object(
        'installations', count(*), 'properties', count(DISTINCT p.id),
        'addresses', to_jsonb(coalesce(
            (array_agg(DISTINCT p.address ORDER BY p.address))[1:{MOST_ADDRESSES}], ARRAY[]::text[])))
    FROM meter_installation i JOIN unit u ON u.id = i.unit_id JOIN property p ON p.id = u.property_id
    WHERE i.tenant_id = made.tenant_id AND i.gateway_id = made.event #>> '{{data,gateway_id}}'
      AND i.deleted_at IS NULL AND p.id = ANY (s.property_ids))"""  # noqa: S608 - the code's own text

# A row for each that wants to hear of it. A gateway is where the meters are that are expected by it, and of any medium.
# By the database's clock, since it also says when they are due: what a judgement took for now may lie behind.
TO_SUBSCRIPTIONS = text(
    """
    INSERT INTO delivery (id, alert_id, tenant_id, subscription_id, event_type, event, created_at, wanted_since,
                          next_attempt_at)
    SELECT gen_random_uuid(), made.alert_id, made.tenant_id, s.id, made.event_type,
           CASE WHEN made.event_type LIKE 'gateway.%' AND s.property_ids <> '{}'
                THEN jsonb_set(made.event, '{data}', (made.event -> 'data') || {meters})
                ELSE made.event END,
           made.at, statement_timestamp(), statement_timestamp()
    FROM (
        SELECT alert_id, tenant_id, event_type, cast(event AS jsonb) AS event, at, number
        FROM unnest(:alert_ids, :tenant_ids, :types, :events, :made) WITH ORDINALITY
            AS made (alert_id, tenant_id, event_type, event, at, number)
    ) made
    JOIN subscription s ON s.tenant_id = made.tenant_id AND s.deleted_at IS NULL AND s.enabled
        AND (s.event_types = '{}' OR made.event_type = ANY (s.event_types))
        AND (s.media = '{}' OR made.event #>> '{data,medium}' IS NULL OR made.event #>> '{data,medium}' = ANY (s.media))
        AND (s.property_ids = '{}'
             OR cast(made.event #>> '{data,property_id}' AS uuid) = ANY (s.property_ids)
             OR made.event_type LIKE 'gateway.%' AND EXISTS (
                 SELECT FROM meter_installation i JOIN unit u ON u.id = i.unit_id
                 WHERE i.gateway_id = made.event #>> '{data,gateway_id}' AND i.deleted_at IS NULL
                   AND u.property_id = ANY (s.property_ids)))
    ORDER BY made.number
    """.replace("{meters}", METERS_IN_PROPERTIES)
).bindparams(
    bindparam("alert_ids", type_=ARRAY(Uuid())),
    bindparam("tenant_ids", type_=ARRAY(Uuid())),
    bindparam("types", type_=ARRAY(Text())),
    bindparam("events", type_=ARRAY(Text())),
    bindparam("made", type_=ARRAY(MOMENT)),
)

AlertEvents = Sequence[InstallationAlertEvent] | Sequence[GatewayAlertEvent]


async def tell_all(connection: AsyncConnection, events: AlertEvents) -> None:
    """Make the deliveries of `events` to the exchange, and to the subscriptions that want to hear of them."""
    if events:
        told = _told(events)
        await connection.execute(TO_EXCHANGE, {"ids": [UUID(event.id) for event in events], **told})
        await connection.execute(TO_SUBSCRIPTIONS, told)


async def tell_subscriptions(connection: AsyncConnection, events: AlertEvents) -> None:
    """Make the deliveries of `events` to subscriptions alone: of what is no transition, such as a reminder."""
    if events:
        await connection.execute(TO_SUBSCRIPTIONS, _told(events))


def _told(events: AlertEvents) -> dict[str, list[Any]]:
    return {
        "alert_ids": [event.data.alert_id for event in events],
        "tenant_ids": [event.data.tenant_id for event in events],
        "types": [event.type for event in events],
        "events": [msgspec.json.encode(event).decode() for event in events],
        "made": [event.time for event in events],
    }
