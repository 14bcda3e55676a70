"""What docs/alerts.md says: its program, run as it stands there, by an account as `mbus subscriber add` makes it."""

import asyncio
import json
import re
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.asyncapi.alerts import alert_messages
from shared.broker_admin import BrokerAdmin
from shared.messages.alert_events import (
    AlertEventType,
    GatewayAlert,
    InstallationAlert,
    LastReading,
    PipelineAlert,
    PipelineCause,
)
from shared.models import Tenant
from shared.subscriber_accounts import QUEUES_BOUNDS, Subscriber, remove_subscriber
from tests.cli.commands import mbus, variables_of
from tests.support.databases import Database
from tests.support.messages import eventually, open_channel, queue_length
from tests.support.registry import create_building
from tests.support.vhosts import Vhost

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
PROGRAMS = {name: text for text, name in re.findall(r'```python\n("""(\w+\.py).*?)```', PAGE, re.DOTALL)}


@pytest.fixture
async def account(database: Database, engine: AsyncEngine, vhost: Vhost) -> AsyncIterator[dict[str, Any]]:
    """What `mbus subscriber add` printed; the tenant's id is in `binding`."""
    building = await create_building(engine)
    async with engine.connect() as connection:
        slug = await connection.scalar(select(Tenant.slug).where(Tenant.id == building.tenant_id))
    name = f"docs-{secrets.token_hex(4)}"
    ended = await mbus(
        "subscriber", "add", name, "--tenant", str(slug), "--json", variables=variables_of(database, vhost)
    )
    yield json.loads(ended.out)
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await remove_subscriber(admin, Subscriber(name, str(building.tenant_id)))


@asynccontextmanager
async def running(account: dict[str, Any], folder: Path) -> AsyncIterator[Process]:
    """The page's program, killed at the end."""
    file = folder / "subscribe.py"
    file.write_text(PROGRAMS["subscribe.py"], encoding="utf-8")
    arguments = account["amqp_url"], account["binding"], account["queue"]
    process = await asyncio.create_subprocess_exec(sys.executable, str(file), *arguments, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def publish(vhost: Vhost, tenant: str, event: dict[str, Any]) -> None:
    async with open_channel(vhost.alerts_url) as channel:
        exchange = await channel.get_exchange(topology.ALERTS, ensure=False)
        message = aio_pika.Message(json.dumps(event).encode(), message_id=event["id"])
        await exchange.publish(message, topology.alert_key(tenant, event["type"]), mandatory=False, timeout=10)


def example(kind: AlertEventType) -> dict[str, Any]:
    """The event of this type that the AsyncAPI document shows, under an id of its own."""
    examples = [message["examples"][0]["payload"] for message in alert_messages().messages.values()]
    (found,) = (it for it in examples if it["type"] == kind)
    return {**found, "id": str(uuid4())}


async def next_line(process: Process) -> str:
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    return line.decode().rstrip("\n")


def printed(event: dict[str, Any]) -> str:
    return f"{event['time']} {event['type']} {json.dumps(event['data'])}"


async def test_the_program_prints_its_tenants_events_once_and_misses_none_while_it_does_not_run(
    vhost: Vhost, account: dict[str, Any], tmp_path: Path
) -> None:
    tenant = account["binding"].removesuffix(".#")
    stale, recovered = example(AlertEventType.INSTALLATION_STALE), example(AlertEventType.INSTALLATION_RECOVERED)
    silent = example(AlertEventType.GATEWAY_SILENT)
    async with running(account, tmp_path) as process:

        async def consumes() -> bool:
            async with open_channel(vhost.url) as channel:
                try:
                    queue = await channel.declare_queue(account["queue"], passive=True)
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    return False
                return queue.declaration_result.consumer_count == 1

        await eventually(consumes)
        for event in (stale, stale, recovered):
            await publish(vhost, str(uuid4()), example(AlertEventType.INSTALLATION_STALE))
            await publish(vhost, tenant, event)
        assert [await next_line(process) for _ in range(2)] == [printed(stale), printed(recovered)]

        async def acknowledged() -> bool:
            return await queue_length(vhost.url, account["queue"]) == 0

        await eventually(acknowledged)
    # What the broker hands out again because the program was killed before its last acknowledgement may come too.
    await publish(vhost, tenant, silent)
    async with running(account, tmp_path) as process:
        while (line := await next_line(process)) != printed(silent):
            assert line in {printed(stale), printed(recovered)}


def test_the_event_on_the_page_is_the_documents_example() -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    event = json.loads(shown[0])
    assert {**example(AlertEventType.INSTALLATION_STALE), "id": event["id"]} == event


def test_every_type_field_cause_and_bound_is_explained() -> None:
    told = (InstallationAlert, GatewayAlert, PipelineAlert, LastReading)
    words: set[str] = {field.name for kind in told for field in msgspec.structs.fields(kind)}
    words |= {str(it) for it in (*AlertEventType, *PipelineCause)}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()
    assert f"{QUEUES_BOUNDS['max-length']:,} events or {QUEUES_BOUNDS['max-length-bytes'] >> 20} MiB" in PAGE
    assert f"for {QUEUES_BOUNDS['expires'] // 86_400_000} days" in PAGE
