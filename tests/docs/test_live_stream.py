"""The program of docs/alerts-api.md that listens to the live stream, killed again and again while events are made."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.retention import remove_delivered
from tests.docs.guide import FENCED
from tests.docs.test_api import GUIDES
from tests.services.alerts.api.data import add_alert
from tests.services.alerts.standing import change, rows
from tests.services.alerts.telling import tell
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.processes import running
from tests.support.registry import create_building
from tests.support.tokens import SECRET, headers_with
from tests.support.vhosts import Vhost

ROUNDS = 6


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (found,) = [block[2] for block in FENCED.finditer(GUIDES["alerts-api.md"]) if block[2].startswith('"""listen.py')]
    path = tmp_path / "listen.py"
    path.write_text(found, encoding="utf-8")
    return path


class Listener:
    """The program while it runs, and what all of its runs printed."""

    def __init__(self, program: Path, variables: dict[str, str]) -> None:
        self._program = program
        self._variables = variables
        self.place = program.parent / "place"
        self.printed: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Killed at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, self._program, cwd=self._program.parent, env=self._variables, stdout=PIPE, stderr=PIPE
        )
        reading = asyncio.create_task(self._read(process))
        try:
            yield
        finally:
            process.kill()
            await reading
            _, errors = await process.communicate()
            assert errors == b""

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.printed.append(line.decode().rstrip("\n"))

    async def has_a_place(self) -> bool:
        return self.place.exists()

    async def has_printed(self, *texts: str) -> bool:
        return all(any(line.endswith(text) for line in self.printed) for text in texts)


async def test_the_listener_of_the_guide_prints_every_event_however_often_it_is_killed_and_says_what_it_missed(
    database: Database, engine: AsyncEngine, vhost: Vhost, program: Path
) -> None:
    building = await create_building(engine, meters=0)
    alert_id = await add_alert(engine, building)
    token = headers_with("alerts:read")(building.tenant_id)["Authorization"].removeprefix("Bearer ")
    variables = {
        "MBUS_ALERTS_DATABASE_URL": database.alerts_url,
        "MBUS_ALERTS_BROKER_URL": vhost.alerts_url,
        "MBUS_ALERTS_SETTLE_S": "3600",
        "MBUS_JWT_SECRET": SECRET,
    }
    async with running(variables, "alerts") as (_, url):
        listener = Listener(program, {"PATH": os.environ["PATH"], "MBUS_ALERTS_URL": url, "MBUS_TOKEN": token})
        async with listener.running():
            await eventually(listener.has_a_place)
        told = []
        for round_ in range(ROUNDS):
            async with listener.running():
                for number in range(10):
                    told.append(f"gateway.silent event-{round_}-{number}")
                    await tell(engine, alert_id, kind="gateway.silent", alert_id=f"event-{round_}-{number}")
                # At any moment from its start to after what there was.
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.3 * round_):
                        await eventually(partial(listener.has_printed, told[-1]))
        async with listener.running():
            await eventually(partial(listener.has_printed, *told))
        in_order = [line.partition(" ")[2] for line in dict.fromkeys(listener.printed)]
        assert in_order == told

        await tell(engine, alert_id, kind="gateway.silent", alert_id="missed")
        await tell(engine, alert_id, kind="gateway.silent", alert_id="kept")

        async def are_delivered() -> bool:
            return await rows(engine, "SELECT id FROM delivery WHERE delivered_at IS NULL OR number IS NULL") == []

        await eventually(are_delivered)
        of_long_ago = (
            "UPDATE delivery SET delivered_at = now() - interval '1 year' WHERE event #>> '{data,alert_id}' = 'missed'"
        )
        await change(engine, of_long_ago)
        await remove_delivered(engine, kept=timedelta(days=30))
        async with listener.running():
            await eventually(partial(listener.has_printed, "missed some: read GET /alerts"))
            await eventually(listener.has_a_place)
            await tell(engine, alert_id, kind="gateway.silent", alert_id="later")
            await eventually(partial(listener.has_printed, "later"))
        assert not await listener.has_printed("kept")
