"""What subscriptions receive beside the alert events: reminders, digests, tests, and that another was disabled."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.messages.alert_events import AlertEventType, GatewayAlertEvent, InstallationAlertEvent
from shared.messages.cloudevents import CloudEvent


class SubscriberEventType(StrEnum):
    """The types of events that go to subscriptions alone, not to the exchange."""

    INSTALLATION_REMINDER = "installation.reminder"
    GATEWAY_REMINDER = "gateway.reminder"
    DIGEST = "alerts.digest"
    TEST = "subscription.test"
    DISABLED = "subscription.disabled"


SILENCES = frozenset(
    {
        AlertEventType.INSTALLATION_STALE.value,
        AlertEventType.GATEWAY_SILENT.value,
        SubscriberEventType.INSTALLATION_REMINDER.value,
        SubscriberEventType.GATEWAY_REMINDER.value,
    }
)
"""What tells that something is silent, and so is not told within a maintenance window."""

REMINDERS = frozenset({SubscriberEventType.INSTALLATION_REMINDER.value, SubscriberEventType.GATEWAY_REMINDER.value})

RECOVERIES = frozenset({AlertEventType.INSTALLATION_RECOVERED.value, AlertEventType.GATEWAY_RECOVERED.value})


class SubscribedType(StrEnum):
    """The types of events that a subscription chooses from."""

    INSTALLATION_STALE = "installation.stale"
    INSTALLATION_RECOVERED = "installation.recovered"
    INSTALLATION_REMINDER = "installation.reminder"
    GATEWAY_SILENT = "gateway.silent"
    GATEWAY_RECOVERED = "gateway.recovered"
    GATEWAY_REMINDER = "gateway.reminder"


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Several events that were made at about the same time for one property or one gateway."""

    tenant_id: UUID
    property_id: str | None
    """None: they are of a gateway."""
    gateway_id: str | None
    """None: they are of a property."""
    events: list[msgspec.Raw]
    """Each whole, as it would have come alone, in the order in which they were made."""


class SubscriptionTest(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody asked for a test."""

    tenant_id: UUID
    subscription_id: UUID
    subscription_name: str


class SubscriptionDisabled(msgspec.Struct, frozen=True, kw_only=True):
    """That nothing is sent to another subscription of the tenant any more, and why."""

    tenant_id: UUID
    subscription_id: UUID
    subscription_name: Annotated[
        str, Meta(description="Its id, for a subscription that does not hear of all properties that this one heard of.")
    ]
    kind: Annotated[str, Meta(description="`webhook` or `mail`.")]
    target: Annotated[
        str, Meta(description="The host of its URL, or of its mail address; empty where the name is its id.")
    ]
    because: Annotated[str, Meta(description="`gone` or `failing`.")]
    reason: Annotated[str, Meta(description="What its last attempt ended with; empty where the name is its id.")]
    failing_since: Annotated[datetime, Meta(tz=True)] | None


DigestEvent = CloudEvent[Digest]
SubscriptionTestEvent = CloudEvent[SubscriptionTest]
SubscriptionDisabledEvent = CloudEvent[SubscriptionDisabled]
ToldEvent = InstallationAlertEvent | GatewayAlertEvent | SubscriptionTestEvent | SubscriptionDisabledEvent
