"""The face on a real server, with somebody who numbers events as the watch does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.numbering import number_events
from services.alerts.settings import AlertsSettings
from shared.clock import Clock, utc_now
from shared.ending import end
from shared.http.serve import create_server
from tests.services.alerts.api.conftest import create_app


@dataclass(frozen=True)
class Served:
    """A server that serves, and a client of it."""

    server: uvicorn.Server
    client: httpx2.AsyncClient
    task: "asyncio.Task[None]"

    async def stop(self) -> None:
        """As a signal would; returns when it has stopped."""
        self.server.should_exit = True
        await self.task


@asynccontextmanager
async def serving(settings: AlertsSettings, *, clock: Clock = utc_now) -> AsyncIterator[Served]:
    app = create_app(settings, clock=clock)
    server = create_server(app)
    async with app.router.lifespan_context(app):
        server.config.port = 0
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done()
        (listener,) = server.servers
        port = listener.sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            served = Served(server, client, task)
            yield served
        server.force_exit = True
        await served.stop()


@asynccontextmanager
async def numbering(engine: AsyncEngine) -> AsyncIterator[None]:
    """What is committed gets its numbers while it lasts."""

    async def go_on() -> None:
        while True:
            await number_events(engine)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        await end(task)
