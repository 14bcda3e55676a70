"""What there is to tell: alert events by kind, each alert once, in the order in which people look for meters. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.alerts.mail.phrasing import clip
from shared.messages.alert_events import (
    AlertEventType,
    GatewayAlert,
    GatewayAlertEvent,
    InstallationAlert,
    InstallationAlertEvent,
)

TenantsEvent = InstallationAlertEvent | GatewayAlertEvent
"""An event that a tenant may subscribe to; those of the pipeline are for operators."""

TenantsAlert = InstallationAlert | GatewayAlert

DIGITS = re.compile(r"([0-9]{1,18})")


@dataclass(frozen=True)
class News:
    """The alerts of a mail, sorted."""

    silent_gateways: tuple[GatewayAlert, ...]
    silent_meters: tuple[InstallationAlert, ...]
    heard_gateways: tuple[GatewayAlert, ...] = ()
    heard_meters: tuple[InstallationAlert, ...] = ()


def news_of(events: Sequence[TenantsEvent]) -> News:
    """What events say together.

    An alert whose end is among them is told of as ended only: who reads it now is not to look for a meter that is
    heard. Raises `ValueError` for an event of the pipeline.
    """
    silent: dict[UUID, TenantsAlert] = {}
    heard: dict[UUID, TenantsAlert] = {}
    for event in events:
        match event.type:
            case AlertEventType.INSTALLATION_STALE | AlertEventType.GATEWAY_SILENT:
                silent[event.data.alert_id] = event.data
            case AlertEventType.INSTALLATION_RECOVERED | AlertEventType.GATEWAY_RECOVERED:
                heard[event.data.alert_id] = event.data
            case _:
                raise ValueError(f"no event for a tenant: {event.type}")
    still = still_silent([alert for alert_id, alert in silent.items() if alert_id not in heard])
    again = still_silent(list(heard.values()))
    return News(still.silent_gateways, still.silent_meters, again.silent_gateways, again.silent_meters)


def still_silent(alerts: Sequence[TenantsAlert]) -> News:
    """The news that these alerts are open."""
    gateways = (alert for alert in alerts if isinstance(alert, GatewayAlert))
    meters = (alert for alert in alerts if isinstance(alert, InstallationAlert))
    return News(
        tuple(sorted(gateways, key=lambda one: (_by_number(one.gateway_name), one.gateway_id))),
        tuple(
            sorted(
                meters,
                key=lambda one: (
                    _by_number(one.property_name),
                    one.property_id,
                    _by_number(one.unit_label),
                    one.meter_serial,
                ),
            )
        ),
    )


def _by_number(name: str) -> list[tuple[int, str]]:
    """Such that flat 2 comes before flat 10."""
    parts = DIGITS.split(clip(name).casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]
