"""A stack comes up on servers that are given to it, is left alone while it runs, mended where it broke, and goes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import psutil
import pytest
from sqlalchemy import text

from cli.stack.checkout import Checkout
from cli.stack.down import remove_stack, stop_stack
from cli.stack.env_file import read_env_file
from cli.stack.errors import StackError
from cli.stack.ports import any_free
from cli.stack.settings import UpSettings
from cli.stack.state import load_state
from cli.stack.status import look
from cli.stack.up import Outcome, bring_up
from shared.broker_admin import BrokerAdmin
from shared.clock import utc_now
from shared.database import open_engine
from tests.support.databases import Database
from tests.support.servers import Servers
from tests.support.vhosts import Vhost

PROGRAMS = {"ingest", "query", "alerts", "simulator"}


class Stack:
    """A checkout's stack on this test's database and vhost."""

    def __init__(self, checkout: Checkout, settings: UpSettings) -> None:
        self.checkout = checkout
        self.settings = settings
        self.told: list[str] = []

    async def up(self, settings: UpSettings | None = None) -> Outcome:
        self.told.clear()
        # Its steps bring event loops of their own.
        return await asyncio.to_thread(
            bring_up, self.checkout, settings or self.settings, tell=self.told.append, clock=utc_now
        )

    async def down(self) -> None:
        await asyncio.to_thread(stop_stack, self.checkout, tell=self.told.append)

    async def remove(self) -> None:
        await asyncio.to_thread(remove_stack, self.checkout, tell=self.told.append)

    def forget(self, name: str) -> None:
        state = load_state(self.checkout)
        del state.processes[name]
        state.save()

    def pids(self) -> dict[str, int]:
        state = load_state(self.checkout)
        return {name: state.processes[name].pid for name in state.alive}


@pytest.fixture
async def stack(tmp_path: Path, servers: Servers, database: Database, vhost: Vhost) -> AsyncIterator[Stack]:
    for package in ("cli", "services", "shared"):
        (tmp_path / package).symlink_to(Path(__file__).parents[3] / package)
    settings = UpSettings.model_validate(
        {
            "up_database_url": database.owner_url,
            "up_broker_url": vhost.url,
            "broker_management_url": servers.management_url,
            **{f"{service}_port": any_free() for service in ("ingest", "query", "alerts")},
        }
    )
    made = Stack(Checkout(tmp_path), settings)
    yield made
    if made.checkout.folder.exists():
        await made.remove()
    async with BrokerAdmin(servers.management_url, vhost=vhost.name) as admin:
        for service in ("ingest", "alerts"):
            await admin.delete_account(f"mbus-{service}-{made.checkout.id}")
    async with open_engine(servers.database_url, application_name="mbus-tests") as engine, engine.begin() as connection:
        for service in ("ingest", "query", "alerts"):
            await connection.execute(text(f'DROP ROLE IF EXISTS "mbus_{service}_{made.checkout.id}"'))


async def test_the_life_of_a_stack(stack: Stack, database: Database) -> None:
    outcome = await stack.up()
    assert outcome.changed
    assert outcome.arrivals.readings > 0
    # The first readings end the wait: others may not have been heard yet, this one never is.
    assert "99000001" in outcome.arrivals.never_seen
    pids = stack.pids()
    assert pids.keys() == PROGRAMS
    variables = read_env_file(stack.checkout.env_file)
    assert variables == outcome.variables
    bearer = {"Authorization": f"Bearer {variables['MBUS_TOKEN']}"}
    answer = httpx2.get(f"{variables['MBUS_QUERY_URL']}/properties", headers=bearer, trust_env=False)
    assert [item["name"] for item in answer.json()["items"]] == ["Havnegade 12", "Skovvej 3"]

    again = await stack.up()
    assert not again.changed
    assert again.variables == outcome.variables
    assert stack.pids() == pids
    assert stack.told == []

    query = psutil.Process(pids["query"])
    query.kill()
    query.wait()
    broken = await asyncio.to_thread(look, stack.checkout)
    assert broken is not None
    assert not broken.is_well
    assert [line.name for line in broken.programs if line.how == "stopped"] == ["query"]
    stack.forget("ingest")
    mended = await stack.up()
    assert mended.changed
    # Before its port was asked for, which must be this one.
    assert stack.told[0] == "stopping what was left of an earlier stack: python"
    assert {name for name, pid in stack.pids().items() if pid != pids[name]} == {"query", "ingest"}
    assert mended.variables["MBUS_INGEST_URL"] == variables["MBUS_INGEST_URL"]

    status = await asyncio.to_thread(look, stack.checkout)
    assert status is not None
    assert {line.name: line.how for line in status.programs} == dict.fromkeys(PROGRAMS - {"simulator"}, "ready") | {
        "simulator": "runs"
    }
    assert {name for name, _ in status.queues.rows} == {"ingest.readings", "alerts.readings-stored", "dead-letters"}
    [(subject, how)] = status.judgement.rows
    assert subject == "Silence"
    assert how.startswith(("held: ", "judged until "))
    assert status.is_well

    await stack.down()
    assert stack.pids() == {}
    async with open_engine(database.owner_url, application_name="mbus-tests") as engine, engine.connect() as connection:
        stored = await connection.scalar(text("SELECT count(*) FROM reading"))
    assert stored >= outcome.arrivals.readings

    await stack.remove()
    assert not stack.checkout.folder.exists()
    assert stack.told[-1] == "servers of yours keep what was written to them"


async def test_what_runs_is_found_and_stopped_when_its_memory_was_lost(stack: Stack) -> None:
    await stack.up()
    pids = stack.pids()
    stack.checkout.state_file.unlink()
    await stack.down()
    assert stack.told[-1] == "stopping what was left of an earlier stack: python"
    for pid in pids.values():
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_stack_does_not_begin_on_servers_that_cannot_be_used(stack: Stack) -> None:
    port = any_free()
    away = stack.settings.model_copy(update={"up_database_url": f"postgresql://me:secret@127.0.0.1:{port}/mbus"})
    with pytest.raises(StackError, match=f"the server of MBUS_UP_DATABASE_URL \\(127.0.0.1:{port}\\) cannot be used: "):
        await stack.up(UpSettings.model_validate(away.model_dump()))
    assert stack.pids() == {}
    await stack.down()
    assert stack.told == ["Nothing ran."]
