"""The programs in docs/gateway-protocol.md do what the page says."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from services.ingest.reasons import Reason
from shared import topology
from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin
from tests.support.messages import next_message
from tests.support.vhosts import Vhost

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-protocol.md").read_text(encoding="utf-8")
PROGRAMS = {name: text for text, name in re.findall(r'```python\n("""(\w+\.py).*?)```', PAGE, re.DOTALL)}
LINES = [b'{"readings": []}', b'{"meter_serial": "1", "timestamp": "2026-11-22T17:00:00Z", "value": 1}']


@pytest.fixture
async def login(vhost: Vhost) -> AsyncIterator[tuple[str, str]]:
    """A gateway's id and password."""
    gateway_id, password = f"DOCS-{vhost.name}", "with/odd@signs"
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await put_gateway_account(admin, gateway_id, password)
        yield gateway_id, password
        await admin.delete_account(gateway_id)


async def run(program: str, folder: Path, *arguments: str) -> tuple[int | None, str]:
    """Run a program of the page with the lines as its input: its exit code, and what it complained of."""
    file = folder / program
    file.write_text(PROGRAMS[program], encoding="utf-8")
    process = await asyncio.create_subprocess_exec(sys.executable, str(file), *arguments, stdin=PIPE, stderr=PIPE)
    _, errors = await asyncio.wait_for(process.communicate(b"\n".join(LINES)), 30)
    return process.returncode, errors.decode()


async def all_have_come(vhost: Vhost, gateway_id: str) -> None:
    for line in LINES:
        message = await next_message(vhost.url, topology.INGEST_READINGS)
        assert (message.routing_key, message.body) == (topology.gateway_readings_key(gateway_id), line)
        assert message.delivery_mode == 2


async def test_the_program_for_amqp_ends_when_the_broker_has_all(
    vhost: Vhost, login: tuple[str, str], tmp_path: Path
) -> None:
    gateway_id, password = login
    ended = await run("publish_amqp.py", tmp_path, vhost.url_for(gateway_id, quote(password, safe="")), gateway_id)
    assert ended == (0, "")
    await all_have_come(vhost, gateway_id)


@pytest.mark.usefixtures("mqtt_versions")
async def test_the_program_for_mqtt_ends_when_the_broker_has_all_and_fails_when_it_refuses(
    vhost: Vhost, login: tuple[str, str], tmp_path: Path
) -> None:
    gateway_id, password = login
    username = quote(f"{vhost.name}:{gateway_id}", safe="")
    url = vhost.mqtt_url.replace("://", f"://{username}:{quote(password, safe='')}@")
    assert await run("publish_mqtt.py", tmp_path, url, gateway_id) == (0, "")
    await all_have_come(vhost, gateway_id)
    code, errors = await run("publish_mqtt.py", tmp_path, url, "GW-0001")
    assert code == 1
    assert "ConnectionError: the broker says: Unspecified error" in errors


def test_every_reason_is_explained() -> None:
    assert {reason for reason in Reason if f"`{reason}`" not in PAGE} == set()
