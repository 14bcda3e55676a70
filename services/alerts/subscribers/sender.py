"""Sends what waits to subscriptions: each in a task of its own, so that none waits for another.

Claim, plan, send, write down: no transaction is open while an endpoint is waited for. Where this process dies, the
claim ends by itself and what it had not written down is sent again, under the same id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from services.alerts.metrics import AlertsMetrics
from services.alerts.repeating import again_and_again
from services.alerts.rules.retries import Delivered, Failed
from services.alerts.subscribers.batches import Sending, at_most, next_batch
from services.alerts.subscribers.claims import Claim, hold, pause, release, renew, take
from services.alerts.subscribers.results import Sent, write_down
from services.alerts.subscribers.secrets import good_secrets
from services.alerts.subscribers.ways import Way
from shared.database_errors import refuses_data
from shared.ending import end
from shared.logs import get_logger
from shared.service_database import ServiceDatabase

Lane = tuple[bool, bool]
"""Subscriptions that take no places of others: by whether they are told by mail, and whether they have been failing."""

LANES: Mapping[Lane, int] = {(False, False): 200, (False, True): 50, (True, False): 3, (True, True): 1}
"""How many are sent to at the same time. Mails together have as many connections to their server."""

SLOW_S = 1.0
"""Who takes longer gives up his place of a webhook, so that one for another is free."""

SLOW_AT_MOST = 800
"""Webhooks that are waited for beside those places."""

IN_FLIGHT = 4
"""Messages on their way to one webhook at the same time; those of one alert never are. One, while it fails, and one by
mail."""

TRANSACTIONS = 8
"""At the same time, so that judging always finds a connection of the service's pool free."""

BATCH_S = 15.0
"""For so long messages of a batch are begun; with the time that the last ones take it is shorter than a claim."""

STOP_S = 5.0
"""For so long a stop waits for answers to what is on its way, so that it need not be sent again."""

OUR_FAULT = "Something went wrong here, and not at the endpoint; the operator's log says what."

NOW = text("SELECT statement_timestamp()")

log = get_logger(__name__)


@dataclass(frozen=True)
class Ways:
    """How subscriptions are told. Without `mail` those by mail wait."""

    webhook: Way
    mail: Way | None = None


class Sender:
    """Sends for as long as `running()` lasts. Replicas share the work.

    What has not been on its way waits for `wait`, so that what comes with it is told with it.
    """

    def __init__(self, database: ServiceDatabase, ways: Ways, *, wait: timedelta, metrics: AlertsMetrics) -> None:
        self._database = database
        self._ways = ways
        self._wait = wait
        self._metrics = metrics
        self._tasks: dict[Lane, set[asyncio.Task[None]]] = {lane: set() for lane in LANES}
        self._slow: set[asyncio.Task[None]] = set()
        self._served: set[UUID] = set()
        self._transactions = asyncio.Semaphore(TRANSACTIONS)
        self._stopping = False
        self._freed = asyncio.Event()
        """Set when there is room for one more subscription, and when one may have more to be sent."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for what is due again and again; when the block ends, what was sent by then is written down."""
        look = asyncio.create_task(again_and_again(self.send_due, self._freed), name="send to subscriptions")
        try:
            yield
        finally:
            await end(look)
            self._stopping = True
            under_way = self._slow.union(*self._tasks.values())
            if under_way:
                await asyncio.wait(under_way, timeout=STOP_S)
            await end(*under_way)

    async def send_due(self) -> None:
        """Begin to send to the subscriptions that something is due for, as far as there is room."""
        for lane, most in LANES.items():
            room, (by_mail, failing) = most - len(self._tasks[lane]), lane
            if room == 0 or (by_mail and self._ways.mail is None):
                continue
            for claim in await take(
                self._database.engine, by_mail=by_mail, failing=failing, at_most=room, wait=self._wait
            ):
                # A claim that ran out here is still being served here.
                if claim.id not in self._served:
                    self._begin(claim, self._tasks[lane])

    def _begin(self, claim: Claim, places: "set[asyncio.Task[None]]") -> None:
        task = asyncio.create_task(self._serve(claim), name=f"send to {claim.id}")
        places.add(task)
        self._served.add(claim.id)

        def give_up_place() -> None:
            if len(self._slow) < SLOW_AT_MOST:
                places.discard(task)
                self._slow.add(task)
                self._freed.set()

        slow = asyncio.get_running_loop().call_later(SLOW_S, give_up_place) if claim.url is not None else None

        def ended(task: "asyncio.Task[None]") -> None:
            if slow is not None:
                slow.cancel()
            places.discard(task)
            self._slow.discard(task)
            self._served.discard(claim.id)
            self._freed.set()

        task.add_done_callback(ended)

    async def _serve(self, claim: Claim) -> None:
        """Send to one subscription until nothing is due for it, or it fails."""
        held: Claim | None = claim
        try:
            while held is not None:
                held = await self._send_batch(held)
        except Exception as error:
            # The database failed: the claim lasts on, so that it is not tried again at once.
            if refuses_data(error):
                log.exception("sending_failed", subscription_id=str(claim.id))
            else:
                log.warning("sending_failed", subscription_id=str(claim.id), error=repr(error))

    async def _send_batch(self, claim: Claim) -> Claim | None:
        """The claim as it is renewed where there may be more to be sent; None when it was given back, or is lost."""
        async with self._transactions, self._database.engine.begin() as connection:
            held = await hold(connection, claim)
            batch = [] if held is None else await next_batch(connection, held, wait=self._wait)
            if held is None or not batch:
                await pause(connection, claim)
                return None
            secrets = await good_secrets(connection, claim.id, claim.now)
        claim = held
        sent: list[Sent] = []
        more = False
        try:
            await self._send_all(claim, batch, secrets, sent)
            more = not self._stopping and len(batch) == at_most(claim) and isinstance(sent[-1].outcome, Delivered)
        finally:
            # Also when this is cancelled: what has arrived is not sent again, and others need not wait.
            renewed = await self._write_down(claim, sent, more=more)
        return renewed

    async def _send_all(self, claim: Claim, batch: Sequence[Sending], secrets: Sequence[str], sent: list[Sent]) -> None:
        """Send the batch as far as time allows and nothing fails; what came of it is in `sent`, as it came."""
        way = self._ways.webhook if claim.url is not None else self._ways.mail
        if way is None:
            return
        until = time.monotonic() + BATCH_S
        waiting = iter(batch)
        failed = False

        async def send() -> None:
            nonlocal failed
            for one in waiting:
                try:
                    came = await way.send(claim, one, secrets)
                except Exception:
                    # A fault of this program: told, and no reason to try it again at once, or to give up the others.
                    log.exception("sending_failed", subscription_id=str(claim.id), delivery_id=str(one.id))
                    came = Sent(one, Failed(OUR_FAULT), ours=True)
                sent.append(came)
                failed = failed or not isinstance(came.outcome, Delivered)
                if failed or self._stopping or time.monotonic() >= until:
                    return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(1 if claim.failures or claim.url is None else IN_FLIGHT):
                tasks.create_task(send())

    async def _write_down(self, claim: Claim, sent: Sequence[Sent], *, more: bool) -> Claim | None:
        """Keep what was sent, and the claim where there may be `more` to be sent."""
        async with self._transactions, self._database.engine.begin() as connection:
            held = await hold(connection, claim)
            if sent:
                now = (await connection.execute(NOW)).scalar_one()
                is_same = held is not None and (held.url, held.mail_address) == (claim.url, claim.mail_address)
                await write_down(connection, claim, sent, now, is_same=is_same)
            renewed = await renew(connection, claim) if more else None
            if not more:
                await release(connection, claim)
        for one in sent:
            self._metrics.count_sent(by_mail=claim.url is None, delivered=isinstance(one.outcome, Delivered))
        return renewed
