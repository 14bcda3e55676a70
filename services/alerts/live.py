"""Live streams: the events of a tenant as they come, each stream from the place on that its client names.

A stream waits without a connection to the database, and reads little at a time: as fast as its client takes it. It
waits for what passes, such as a database that is away: nothing is lost by that, since it goes on behind what it told.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress

from services.alerts.lookout import LookOut, Outlook
from services.alerts.metrics import StreamMetrics
from services.alerts.queries.stream import Ahead, GoneError, Live, events_ahead
from shared.clock import Clock, Monotonic
from shared.http.event_stream import comment, event, place_reached, reconnect_after
from shared.http.problems import RETRY_AFTER_S, ProblemError
from shared.http.tenant_database import TenantDatabase
from shared.http.tenant_share import TenantBusyError, TenantShare
from shared.service_database import DATABASE_FAILURES, is_away, was_busy, was_in_the_way

HEARTBEAT_S = 15.0
"""What stands between often takes a connection for dead on which nothing came for 60 s, some for 30 s."""

LONGEST_S = 4 * 3600.0
"""A client that goes on connects anew by then, and may find another replica."""

RECONNECT_MS = (2_000, 5_000)
"""Each client is told another time between: not all come back in the same moment when a replica stops."""

AGAIN_AFTER_S = 2.0
"""When a read failed for a reason that passes."""

READERS = 4
"""So many streams of a process read at the same time: the other connections are for those who ask."""


class TooManyStreamsError(ProblemError):
    """As many streams as the process can bear are open; a 503."""

    def __init__(self) -> None:
        retry_after = {"Retry-After": str(RETRY_AFTER_S)}
        super().__init__(503, "Too many streams are open. Try again.", headers=retry_after)


class LiveStreams:
    """The streams that are open in a process: at most `most`, and `most_per_tenant` of one tenant."""

    def __init__(
        self,
        database: TenantDatabase,
        look_out: LookOut,
        *,
        stopping: asyncio.Event,
        most: int,
        most_per_tenant: int,
        metrics: StreamMetrics,
        clock: Clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._database = database
        self._look_out = look_out
        self._stopping = stopping
        self._most = most
        self._share = TenantShare(most_per_tenant, wait_s=0, what="streams")
        self._readers = asyncio.Semaphore(READERS)
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._open = 0

    async def pieces(self, live: Live, *, after: int | None, expires_at: float) -> AsyncGenerator[bytes]:
        """Events behind the number `after`, for None those that come from now on; until `expires_at` at most.

        That is in seconds since 1970. Before the first piece it raises `TenantBusyError`, `TooManyStreamsError`,
        `GoneError` and what a database that is away makes of it; later it waits for what passes.
        """
        left = min(LONGEST_S, expires_at - self._clock().timestamp())
        until = self._monotonic() + left
        with self._place(), self._look_out.of(live.reach.tenant_id) as outlook:
            async with self._share.place(live.reach.tenant_id):
                ahead = await self._read(live, outlook, after)
                wait_ms = random.randint(*RECONNECT_MS)  # noqa: S311 - no secret
                yield (reconnect_after(wait_ms) + self._told(live, ahead, where=True)).encode()
                async with aclosing(self._from(live, ahead, outlook, until)) as following:
                    with suppress(GoneError):  # it ends, and whoever comes back is told so
                        async for piece in following:
                            yield piece

    async def _from(self, live: Live, ahead: Ahead, outlook: Outlook, until: float) -> AsyncGenerator[bytes]:
        """What follows `ahead`, and heartbeats."""
        beat_at = self._monotonic() + HEARTBEAT_S
        told_up_to = ahead.up_to
        while not self._stopping.is_set() and self._monotonic() < until:
            if not ahead.more:
                await outlook.beyond(ahead.up_to, until=min(beat_at, until))
            text = ""
            if (ahead.more or outlook.newest > ahead.up_to) and not self._stopping.is_set():
                further = await self._read_if_it_can(live, outlook, ahead)
                if further is None:
                    await self._pause(min(AGAIN_AFTER_S, until - self._monotonic()))
                else:
                    ahead = further
                    text = self._told(live, ahead, where=False)
                    told_up_to = ahead.events[-1].number if ahead.events else told_up_to
            if not text and self._monotonic() >= beat_at:
                # Where a filter lets nothing through too, what it may go on from must not become too old.
                text = comment("alive") + (place_reached(live.place(ahead.up_to)) if ahead.up_to > told_up_to else "")
                told_up_to = ahead.up_to
            if text:
                yield text.encode()
                beat_at = self._monotonic() + HEARTBEAT_S

    def _told(self, live: Live, ahead: Ahead, *, where: bool) -> str:
        """The events as text; with `where` also up to where that is, for a client to which nothing more ever comes."""
        self._metrics.streamed.inc(len(ahead.events))
        events = [event(one.type, one.text, place=live.place(one.number)) for one in ahead.events]
        return "".join([*events, place_reached(live.place(ahead.up_to)) if where else ""])

    async def _read(self, live: Live, outlook: Outlook, after: int | None) -> Ahead:
        async with outlook.reading, self._readers:
            return await events_ahead(self._database, live, after=after)

    async def _read_if_it_can(self, live: Live, outlook: Outlook, ahead: Ahead) -> Ahead | None:
        """None where it cannot for a reason that passes; of a database that is away the look-out tells, for all."""
        try:
            return await self._read(live, outlook, ahead.up_to)
        except TenantBusyError:
            return None
        except DATABASE_FAILURES as error:
            if not (is_away(error) or was_busy(error) or was_in_the_way(error)):
                raise
            return None

    async def _pause(self, seconds: float) -> None:
        """Or less, when the service stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= self._most:
            raise TooManyStreamsError
        self._open += 1
        self._metrics.streams.inc()
        try:
            yield
        finally:
            self._open -= 1
            self._metrics.streams.dec()
