"""What a webhook's body is: the event as it was made, or a digest of several. Pure."""

import msgspec

from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.claims import Claim
from shared.messages.alert_events import SOURCE
from shared.messages.subscriber_events import Digest, DigestEvent, SubscriberEventType


class _Data(msgspec.Struct):
    property_id: str | None = None
    gateway_id: str | None = None


class _Event(msgspec.Struct):
    data: _Data


def webhook_body(claim: Claim, sending: Sending) -> bytes:
    """The same at each attempt. A digest has the id of its delivery, and the time of its newest event."""
    if len(sending.parts) == 1:
        return sending.parts[0].event.encode()
    of = msgspec.json.decode(sending.parts[0].event, type=_Event).data
    told = Digest(
        tenant_id=claim.tenant_id,
        property_id=of.property_id,
        gateway_id=None if of.property_id is not None else of.gateway_id,
        events=[msgspec.Raw(part.event.encode()) for part in sending.parts],
    )
    return msgspec.json.encode(
        DigestEvent(
            id=str(sending.id),
            source=SOURCE,
            type=SubscriberEventType.DIGEST.value,
            time=max(part.made_at for part in sending.parts),
            data=told,
        )
    )
