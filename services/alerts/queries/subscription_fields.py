"""Subscriptions as they are sent and answered: what each field is, and an example of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.http.bodies import STRICTLY, Text
from shared.http.durations import Duration
from shared.http.fields import PROPERTY_EXAMPLE, TIME_EXAMPLE
from shared.messages.subscriber_events import SubscribedType
from shared.models import DisabledBecause, Language, Medium

SUBSCRIPTION_EXAMPLE = "7d2c9d54-5c0f-4a5e-a2d4-3f9f5b7c1e60"
SECRET_EXAMPLE = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - the specification's own example
URL_EXAMPLE = "https://alerts.example.com/mbus"
PROPERTIES_MAX = 500
KEEP_PREVIOUS_DEFAULT = timedelta(days=1)
KEEP_PREVIOUS_MAX = timedelta(days=7)

SubscriptionId = Annotated[UUID, Field(description="The subscription's id.", examples=[SUBSCRIPTION_EXAMPLE])]
Name = Annotated[Text, Field(max_length=200, description="What you call it.", examples=["Our ticket system"])]
Url = Annotated[
    Annotated[str, StringConstraints(max_length=2048)] | None,
    Field(
        description="Where alerts are posted to, by https, at a public address; null where they go by mail.",
        examples=[URL_EXAMPLE],
    ),
]
MailAddress = Annotated[
    Annotated[str, StringConstraints(max_length=320)] | None,
    Field(description="Whom alerts are mailed to; null where they are posted.", examples=["caretaker@example.com"]),
]
InLanguage = Annotated[
    Language | None, Field(description="What mails are written in: `da` or `en`; null for a webhook.", examples=["da"])
]
EventTypes = Annotated[
    list[SubscribedType],
    Field(max_length=len(SubscribedType), description="Which events are told; empty for all.", examples=[[]]),
]
PropertyIds = Annotated[
    list[UUID],
    Field(
        max_length=PROPERTIES_MAX,
        description="Of which properties, and of gateways with meters in them; empty for all.",
        examples=[[PROPERTY_EXAMPLE]],
    ),
]
Media = Annotated[
    list[Medium],
    Field(
        max_length=len(Medium),
        description="Of meters that measure which of these; empty for all. Gateways are of any medium.",
        examples=[["heat", "warm_water"]],
    ),
]
Enabled = Annotated[bool, Field(description="Whether anything is sent.", examples=[True])]


@dataclass(frozen=True, slots=True)
class SubscriptionBody:
    """A subscription as somebody wants it: by webhook or by mail."""

    __pydantic_config__ = STRICTLY
    name: Name
    url: Url = None
    mail_address: MailAddress = None
    language: InLanguage = None
    event_types: EventTypes = field(default_factory=list)
    property_ids: PropertyIds = field(default_factory=list)
    media: Media = field(default_factory=list)
    enabled: Enabled = True


@dataclass(frozen=True, slots=True)
class RotationBody:
    """How the next secret takes over."""

    __pydantic_config__ = STRICTLY
    keep_previous: Annotated[
        Duration,
        Field(
            description="For how long messages are signed with the secret before, too: an ISO 8601 duration of up to"
            f" {KEEP_PREVIOUS_MAX.days} days.",
            examples=["P1D"],
        ),
    ] = KEEP_PREVIOUS_DEFAULT


@dataclass(slots=True)
class Subscription:
    """Who is told of alerts, of which, and whether that works."""

    id: SubscriptionId
    name: Name
    url: Url
    mail_address: MailAddress
    language: InLanguage
    event_types: EventTypes
    property_ids: PropertyIds
    media: Media
    enabled: Enabled
    disabled_at: Annotated[
        datetime | None, Field(description="Since when nothing is sent (UTC); null where it is.", examples=[None])
    ]
    disabled_because: Annotated[
        DisabledBecause | None,
        Field(
            description="`by_hand`, `unsubscribed` by the link in a mail, `gone` as the endpoint said (410), `failing`"
            " for five days; null where it is enabled.",
            examples=[None],
        ),
    ]
    failing_since: Annotated[
        datetime | None,
        Field(description="The first failure since anything arrived (UTC); null where all is well.", examples=[None]),
    ]
    held_until: Annotated[
        datetime | None,
        Field(
            description="Until when nothing is sent to it after a failure (UTC), whatever a delivery says of itself;"
            " null where nothing failed. A test is sent all the same.",
            examples=[None],
        ),
    ]
    created_at: Annotated[datetime, Field(description="When it was made (UTC).", examples=[TIME_EXAMPLE])]
    updated_at: Annotated[datetime, Field(description="When it was last written (UTC).", examples=[TIME_EXAMPLE])]
    updated_by: Annotated[
        str | None,
        Field(description="Who wrote it last: the `sub` of the token.", examples=["caretaker@example.com"]),
    ]


@dataclass(slots=True)
class NewSubscription(Subscription):
    """With what its messages are signed with, which is shown this once."""

    secret: Annotated[
        str | None,
        Field(
            description="What a webhook's messages are signed with, as Standard Webhooks has it. Keep it: it is never"
            " shown again. null for mail.",
            examples=[SECRET_EXAMPLE],
        ),
    ]


@dataclass(slots=True)
class NewSecret:
    """What messages are signed with from now on, which is shown this once."""

    secret: Annotated[str, Field(description="The new secret.", examples=[SECRET_EXAMPLE])]
    previous_until: Annotated[
        datetime,
        Field(description="Until when they are signed with the one before, too (UTC).", examples=[TIME_EXAMPLE]),
    ]


@dataclass(slots=True)
class TestDelivery:
    """The test that is on its way."""

    __test__ = False
    delivery_id: Annotated[
        UUID,
        Field(
            description="`GET /deliveries/{delivery_id}` says what became of it.",
            examples=["0e4e1d2a-6f0a-4a7e-8c55-8f6f3f1f2a11"],
        ),
    ]


def is_narrow(property_ids: list[UUID], reach: frozenset[UUID] | None) -> bool:
    """Whether a caller who is narrowed to `reach` may have a subscription to these properties; None is all."""
    return reach is None or (bool(property_ids) and reach.issuperset(property_ids))
