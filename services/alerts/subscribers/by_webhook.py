"""Tells a subscription by webhook: signs what is sent, posts it, and says what came of it."""

from collections.abc import Sequence

from typing_extensions import override

from services.alerts.subscribers.batches import Sending
from services.alerts.subscribers.bodies import webhook_body
from services.alerts.subscribers.claims import Claim
from services.alerts.subscribers.results import Sent
from services.alerts.subscribers.ways import Way
from services.alerts.webhooks.client import WebhookClient
from services.alerts.webhooks.failures import WebhookFailure
from services.alerts.webhooks.outcomes import outcome_of, outcome_of_failure
from services.alerts.webhooks.signing import signed_headers
from shared.clock import Clock
from shared.messages.cloudevents import CONTENT_TYPE


class ByWebhook(Way):
    """`client` is open for as long as this is used; `clock` dates each attempt, which receivers compare with theirs."""

    def __init__(self, client: WebhookClient, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    @override
    async def send(self, claim: Claim, sending: Sending, secrets: Sequence[str]) -> Sent:
        body = webhook_body(claim, sending)
        now = self._clock()
        headers = {"Content-Type": CONTENT_TYPE, **signed_headers(secrets, str(sending.id), now, body)}
        try:
            answer = await self._client.post(claim.url or "", body, headers)
        except WebhookFailure as failure:
            return Sent(sending, outcome_of_failure(failure))
        return Sent(sending, outcome_of(answer, now))
