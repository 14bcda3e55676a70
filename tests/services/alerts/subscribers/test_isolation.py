"""An endpoint that is dead or slow keeps nobody else waiting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.subscribers.sender import LANES
from services.alerts.webhooks.signing import new_secret
from tests.services.alerts.standing import rows
from tests.services.alerts.subscribers.conftest import MakeSender
from tests.services.alerts.subscribers.told import open_alert, tell
from tests.support.messages import eventually
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_webhook
from tests.support.webhook_receiver import receiving

DEAD = 100
NOBODY_LISTENS = "http://127.0.0.1:9/alerts"


@asynccontextmanager
async def silent_endpoint() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Takes requests and never says a word: its URL, and what it has taken."""
    over = asyncio.Event()
    taken: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.readuntil(b"\r\n\r\n"))
        await over.wait()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0, backlog=DEAD) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alerts", taken
        over.set()


async def test_a_hundred_dead_endpoints_beside_a_live_one(
    engine: AsyncEngine, building: Building, make_sender: MakeSender
) -> None:
    """Half of them refuse connections, the others take them and never answer: all are tried before the live one is."""
    secret = new_secret()
    meter = building.installation_ids[0]
    neighbour = await create_building(engine, meters=1)
    async with silent_endpoint() as (silent, taken), receiving(secret) as live:
        for number in range(DEAD):
            await add_webhook(engine, neighbour.tenant_id, silent if number % 2 else NOBODY_LISTENS)
        await add_webhook(engine, building.tenant_id, live.url, secret=secret)
        theirs = await open_alert(engine, neighbour, neighbour.installation_ids[0])
        ours = await open_alert(engine, building, meter)
        async with make_sender():
            await tell(engine, building, "installation.stale", ours, meter)
            await live.wait_for(1)
            await tell(engine, neighbour, "installation.stale", theirs, neighbour.installation_ids[0])

            async def all_dead_are_tried() -> bool:
                failing = await rows(engine, "SELECT count(*) FROM subscription WHERE failures > 0")
                return (failing, len(taken)) == ([(DEAD / 2,)], DEAD / 2)

            await eventually(all_dead_are_tried)
            waits = []
            for number, kind in enumerate(["installation.recovered", "installation.stale"] * 3, start=2):
                begun = time.monotonic()
                await tell(engine, building, kind, ours, meter)
                await live.wait_for(number)
                waits.append(time.monotonic() - begun)
            still_waiting = await rows(engine, "SELECT count(*) FROM subscription WHERE claimed_until > now()")
            assert still_waiting[0][0] >= DEAD / 2, "the silent ones were still being waited for"
    # Half a second at most until it is looked for, and a second that another may cost it.
    assert max(waits) < 1.5, waits


async def test_more_slow_endpoints_than_there_are_places(
    engine: AsyncEngine, building: Building, make_sender: MakeSender
) -> None:
    """They would answer well, in some seconds: whoever comes after them does not wait for that."""
    secret = new_secret()
    number = LANES[(False, False)] + 20
    neighbours = [await create_building(engine, meters=1) for _ in range(3)]
    async with receiving(secret) as slow, receiving(secret) as live:
        slow.held.clear()
        for one in range(number):
            await add_webhook(engine, neighbours[one % 3].tenant_id, slow.url, secret=secret)
        await add_webhook(engine, building.tenant_id, live.url, secret=secret)
        meter = building.installation_ids[0]
        ours = await open_alert(engine, building, meter)
        async with make_sender():
            for neighbour in neighbours:
                theirs = await open_alert(engine, neighbour, neighbour.installation_ids[0])
                await tell(engine, neighbour, "installation.stale", theirs, neighbour.installation_ids[0])
            await slow.wait_for(number, timeout_s=60)
            begun = time.monotonic()
            await tell(engine, building, "installation.stale", ours, meter)
            await live.wait_for(1)
            took = time.monotonic() - begun
            assert slow.at_once == number, "they are still waited for"
            slow.held.set()
    assert took < 1.5, took
