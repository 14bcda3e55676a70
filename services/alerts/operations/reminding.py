"""Tells subscribers again of silence that lasts, as often as the policies want: one transaction a batch."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, bindparam, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Uuid

from services.alerts.events import gateway_event, installation_event
from services.alerts.operations.telling import tell_subscriptions
from services.alerts.queries.gateways import Meters, meters_of
from services.alerts.queries.reminders import due_alerts, gateways_called, lock_alerts, tenants_to_remind
from services.alerts.queries.subjects import find
from shared.messages.alert_events import GatewayAlert, GatewayAlertEvent, InstallationAlertEvent
from shared.messages.subscriber_events import SubscriberEventType
from shared.models import Alert

AT_MOST = 500
"""Alerts told again in one transaction."""

FOUND_AT_MOST = 20_000
"""Alerts that are looked for at a time: ids alone."""

REMINDED = (
    update(Alert).where(Alert.id == any_(bindparam("ids", type_=ARRAY(Uuid())))).values(reminded_at=bindparam("now"))
)


async def remind(engine: AsyncEngine, now: datetime) -> int:
    """Make reminders of all open alerts that are due for one by `now`; returns of how many.

    To be called while silence is judged only: an alert cannot be known to last otherwise. However long that was not,
    each is told once, and the interval counts from `now`. Whether or not anybody subscribed, it counts as told.
    Replicas share the work.
    """
    async with engine.connect() as connection:
        tenants = await tenants_to_remind(connection, now)
    return sum([await _remind_tenant(engine, tenant_id, shortest, now) for tenant_id, shortest in tenants])


async def _remind_tenant(engine: AsyncEngine, tenant_id: UUID, shortest: timedelta, now: datetime) -> int:
    reminded = 0
    while True:
        async with engine.begin() as connection:
            due = await due_alerts(connection, tenant_id, shortest, now, at_most=FOUND_AT_MOST)
        before = reminded
        for start in range(0, len(due), AT_MOST):
            async with engine.begin() as connection:
                reminded += await _remind(connection, due[start : start + AT_MOST], shortest, now)
        # Where all that was found is another replica's, it need not be looked for again.
        if len(due) < FOUND_AT_MOST or reminded == before:
            return reminded


async def _remind(connection: AsyncConnection, alert_ids: Sequence[UUID], shortest: timedelta, now: datetime) -> int:
    alerts = await lock_alerts(connection, alert_ids, shortest, now)
    if not alerts:
        return 0
    await connection.execute(REMINDED, {"ids": [one.id for one in alerts], "now": now})
    installations = [one for one in alerts if one.installation_id is not None]
    await tell_subscriptions(connection, await _of_installations(connection, installations, now))
    gateways = [one for one in alerts if one.gateway_id is not None]
    await tell_subscriptions(connection, await _of_gateways(connection, gateways, now))
    return len(alerts)


async def _of_installations(
    connection: AsyncConnection, alerts: Sequence[Row[Any]], now: datetime
) -> list[InstallationAlertEvent]:
    subjects = {one.installation_id: one for one in await find(connection, [one.installation_id for one in alerts])}
    return [
        installation_event(
            SubscriberEventType.INSTALLATION_REMINDER,
            subjects[one.installation_id],
            alert_id=one.id,
            silent_since=one.since,
            now=now,
        )
        for one in alerts
    ]


async def _of_gateways(
    connection: AsyncConnection, alerts: Sequence[Row[Any]], now: datetime
) -> list[GatewayAlertEvent]:
    ids = [one.gateway_id for one in alerts]
    gateways = await gateways_called(connection, ids)
    meters = await meters_of(connection, ids, now)
    return [
        gateway_event(
            SubscriberEventType.GATEWAY_REMINDER,
            _told(one, gateways[one.gateway_id], meters.get(one.gateway_id, Meters())),
            now=now,
        )
        for one in alerts
    ]


def _told(alert: Row[Any], gateway: Row[Any], meters: Meters) -> GatewayAlert:
    return GatewayAlert(
        alert_id=alert.id,
        tenant_id=gateway.tenant_id,
        gateway_id=gateway.id,
        gateway_name=gateway.name,
        installations=meters.installations,
        properties=meters.properties,
        addresses=list(meters.addresses),
        since=alert.since,
        silent_since=alert.since,
        last_heard_at=gateway.heard_at,
    )
