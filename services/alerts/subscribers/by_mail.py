"""Tells a subscription by mail: renders what is sent in its language, mails it, and says what came of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from typing_extensions import override

from services.alerts.mail.composing import Mail, compose, message_id
from services.alerts.mail.outcomes import MailRefused, RecipientRefused, TryAgain
from services.alerts.mail.outcomes import Sent as Mailed
from services.alerts.mail.rendering import DisabledSubscription, MailRenderer, Reader
from services.alerts.mail.sending import MailSender
from services.alerts.mail.settings import Mailing
from services.alerts.mail.unsubscribe import unsubscribe_token, unsubscribe_url
from services.alerts.rules.retries import Delivered, Failed
from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.claims import Claim
from services.alerts.subscribers.results import Sent
from services.alerts.subscribers.ways import Way
from shared.logs import get_logger
from shared.messages.alert_events import GatewayAlertEvent, InstallationAlertEvent, decode
from shared.messages.subscriber_events import REMINDERS, SubscriberEventType, SubscriptionDisabledEvent
from shared.models import Language
from shared.time_zones import is_time_zone

log = get_logger(__name__)


@dataclass(frozen=True)
class ByMail(Way):
    """`sender` is open for as long as this is used."""

    mailing: Mailing
    sender: MailSender
    renderer: MailRenderer

    @override
    async def send(self, claim: Claim, sending: Sending, secrets: Sequence[str]) -> Sent:
        address = claim.mail_address or ""
        unsubscribe = unsubscribe_url(
            self.mailing.public_url, unsubscribe_token(self.mailing.unsubscribe_key, claim.id)
        )
        reader = Reader(Language(claim.language or Language.ENGLISH), _zone(claim), unsubscribe)
        made_at = max(part.made_at for part in sending.parts)
        message = compose(
            # Thousands of events take a third of a second to render.
            await asyncio.to_thread(self._mail, claim, sending, reader, made_at),
            sender=self.mailing.sender,
            recipient=address,
            message_id=message_id(sending.id, self.mailing.sender),
            composed_at=made_at,
            unsubscribe_url=unsubscribe,
        )
        outcome = await self.sender.send(message, sender=self.mailing.sender.address, recipient=address)
        match outcome:
            case Mailed():
                return Sent(sending, Delivered())
            case RecipientRefused(reason) | MailRefused(reason):
                return Sent(sending, Failed(reason))
            case TryAgain(reason):
                log.warning("mail_not_sent", subscription_id=str(claim.id), reason=reason)
                return Sent(sending, Failed(reason), ours=True)

    def _mail(self, claim: Claim, sending: Sending, reader: Reader, made_at: datetime) -> Mail:
        first = sending.parts[0]
        match first.event_type:
            case SubscriberEventType.TEST:
                return self.renderer.trial(
                    reader, tenant_name=claim.tenant_name, subscription_name=claim.name, asked_at=made_at
                )
            case SubscriberEventType.DISABLED:
                return self.renderer.disabled(_disabled(first.event, made_at), reader)
            case _:
                # A reminder comes with news only of an alert that is news itself.
                news = [_event(part.event) for part in sending.parts if part.event_type not in REMINDERS]
                if news:
                    return self.renderer.digest(news, reader)
                alerts = [_event(part.event).data for part in sending.parts]
                return self.renderer.reminder(alerts, reader, now=made_at)


def _zone(claim: Claim) -> ZoneInfo:
    """The tenant's; UTC where this machine does not know it, since a mail in other hours is better than none."""
    if not is_time_zone(claim.time_zone):
        log.error("time_zone_unknown", tenant_id=str(claim.tenant_id), time_zone=claim.time_zone)
        return ZoneInfo("UTC")
    return ZoneInfo(claim.time_zone)


def _event(body: str) -> InstallationAlertEvent | GatewayAlertEvent:
    event = decode(body.encode())
    # Events of the pipeline are for operators, and no delivery of a subscription is one.
    assert not hasattr(event.data, "cause")  # noqa: S101
    return event


def _disabled(body: str, since: datetime) -> DisabledSubscription:
    told = msgspec.json.decode(body, type=SubscriptionDisabledEvent).data
    return DisabledSubscription(
        name=told.subscription_name, kind=told.kind, host=told.target, reason=told.reason, since=since
    )
