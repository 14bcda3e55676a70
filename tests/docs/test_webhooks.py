"""What docs/alerts.md says of webhooks: its receivers, run as they are, take what the sender sends, and no more."""

import asyncio
import base64
import hmac
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from services.alerts.metrics import AlertsMetrics
from services.alerts.rules.retries import DELAYS
from services.alerts.subscribers.by_webhook import ByWebhook
from services.alerts.subscribers.sender import Sender, Ways
from services.alerts.webhooks.allow_list import parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from services.alerts.webhooks.signing import new_secret
from shared.clock import utc_now
from shared.messages.alert_events import GatewayAlertEvent, InstallationAlertEvent
from shared.messages.subscriber_events import (
    Digest,
    DigestEvent,
    SubscribedType,
    SubscriberEventType,
    SubscriptionDisabled,
    SubscriptionDisabledEvent,
    SubscriptionTestEvent,
)
from shared.service_database import ServiceDatabase
from tests.docs.guide import FENCED
from tests.docs.test_alerts import PAGE
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.told import deliveries, open_alert, tell, tell_all
from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_webhook

COMMANDS = {"receive.py": sys.executable, "receive.mjs": "node"}
LANGUAGES = {"receive.py": "python", "receive.mjs": "javascript"}
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="the receiver in JavaScript is run by Node.js")
RECEIVERS = [pytest.param("receive.py", id="python"), pytest.param("receive.mjs", id="javascript", marks=NODE)]

KINDS = ["installation.stale", "installation.stale", "gateway.silent", "installation.stale"]
DISABLE = "UPDATE subscription SET enabled = false, disabled_at = now(), disabled_because = 'by_hand' WHERE enabled"

TYPES = {
    "alerts.digest": DigestEvent,
    "subscription.test": SubscriptionTestEvent,
    "subscription.disabled": SubscriptionDisabledEvent,
}

Send = Callable[..., AbstractAsyncContextManager[Sender]]


@dataclass
class Receiver:
    """A program of the page while it runs."""

    url: str
    printed: list[str]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The type and the data of each event that it printed."""
        return [(line.split(" ", 2)[1], json.loads(line.split(" ", 2)[2])) for line in self.printed]

    async def has_printed(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.printed) >= count

        await eventually(enough)


async def start(name: str, folder: Path, port: int, *secrets: str) -> Process:
    """The page's program, with these secrets."""
    (program,) = [
        block[2] for block in FENCED.finditer(PAGE) if block[1] == LANGUAGES[name] and name in block[2].split("\n")[0]
    ]
    (folder / name).write_text(program, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRETS": " ".join(secrets)}
    return await asyncio.create_subprocess_exec(
        COMMANDS[name], name, str(port), cwd=folder, env=environment, stdout=PIPE, stderr=PIPE
    )


@asynccontextmanager
async def running(name: str, folder: Path, *secrets: str) -> AsyncIterator[Receiver]:
    """The program on a free port; killed at the end."""
    port = await free_port()
    process = await start(name, folder, port, *secrets)
    receiver = Receiver(f"http://127.0.0.1:{port}/mbus", [])
    reading = asyncio.create_task(_read(process, receiver.printed))

    async def listens() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await eventually(listens)
        yield receiver
    finally:
        if process.returncode is None:
            process.kill()
        await reading
        _, errors = await process.communicate()
    assert errors == b""


async def _read(process: Process, printed: list[str]) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        printed.append(line.decode().rstrip("\n"))


async def free_port() -> int:
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert isinstance(port, int)
    return port


@pytest.fixture
def sending(database: Database) -> Send:
    """Runs a sender whose clock is `fast` by so much, for the length of a block."""

    @asynccontextmanager
    async def make(*, fast: timedelta = timedelta(0)) -> AsyncIterator[Sender]:
        service = ServiceDatabase(database.alerts_url, service_role="mbus_alerts")
        client = WebhookClient(allowed=parse_allow_list("127.0.0.1"))
        async with service.open(), client:
            ways = Ways(ByWebhook(client, clock=lambda: utc_now() + fast))
            metrics = AlertsMetrics(CollectorRegistry())
            sender = Sender(service, ways, wait=timedelta(0), metrics=metrics)
            async with sender.running():
                yield sender

    return make


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=5)


@pytest.fixture
def secret() -> str:
    return new_secret()


async def stale(engine: AsyncEngine, building: Building, *meters: int) -> None:
    """Make the deliveries of these meters' silences."""
    ids = [building.installation_ids[meter] for meter in meters]
    told = [("installation.stale", await open_alert(engine, building, one), one) for one in ids]
    await tell_all(engine, building, told)


async def status(engine: AsyncEngine, hook: UUID, expected: int) -> None:
    """Wait until the last attempt was answered so."""

    async def answered() -> bool:
        found = await rows(
            engine,
            "SELECT last_status FROM delivery WHERE subscription_id = :id ORDER BY position DESC LIMIT 1",
            id=hook,
        )
        return found == [(expected,)]

    await eventually(answered)


@pytest.mark.parametrize("name", RECEIVERS)
async def test_the_receiver_takes_events_and_digests_each_event_once(
    *, engine: AsyncEngine, building: Building, sending: Send, tmp_path: Path, secret: str, name: str
) -> None:
    async with running(name, tmp_path, secret) as receiver:
        hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
        async with sending():
            await stale(engine, building, 0, 1)
            await receiver.has_printed(2)
            await status(engine, hook, 204)
            alert = await open_alert(engine, building, gateway_id=building.gateway_id)
            await tell(engine, building, "gateway.silent", alert)
            await receiver.has_printed(3)
            await status(engine, hook, 204)
            # As when we were killed after it had arrived, and before that was written down.
            await change(engine, "UPDATE delivery SET delivered_at = NULL, last_status = NULL, next_attempt_at = now()")
            await status(engine, hook, 204)
            await stale(engine, building, 2)
            await receiver.has_printed(4)
        assert [kind for kind, _ in receiver.events()] == KINDS
        told = [data["installation_id"] for kind, data in receiver.events() if kind == "installation.stale"]
        assert told == [str(one) for one in building.installation_ids[:3]]


@pytest.mark.parametrize("name", RECEIVERS)
async def test_the_receiver_refuses_another_secret_and_an_old_or_early_timestamp(
    *, engine: AsyncEngine, building: Building, sending: Send, tmp_path: Path, secret: str, name: str
) -> None:
    async with running(name, tmp_path, secret) as receiver:
        strangers = await add_webhook(engine, building.tenant_id, receiver.url, secret=new_secret())
        async with sending():
            await stale(engine, building, 0)
            await status(engine, strangers, 401)
        await change(engine, DISABLE)
        for meter, (minutes, expected) in enumerate(((-6, 401), (6, 401), (-4, 204), (4, 204)), start=1):
            hook = await add_webhook(engine, building.tenant_id, receiver.url, secret=secret)
            async with sending(fast=timedelta(minutes=minutes)):
                await stale(engine, building, meter)
                await status(engine, hook, expected)
            await change(engine, DISABLE)
        assert len(receiver.printed) == 2


@pytest.mark.parametrize("name", RECEIVERS)
async def test_during_a_rotation_the_receiver_takes_what_is_signed_with_both_by_either_and_then_by_the_newer(
    *, engine: AsyncEngine, building: Building, sending: Send, tmp_path: Path, secret: str, name: str
) -> None:
    newer = new_secret()
    by_old, by_both, by_new = [tmp_path / one for one in ("old", "both", "new")]
    for folder in (by_old, by_both, by_new):
        folder.mkdir()
    async with (
        running(name, by_old, secret) as old,
        running(name, by_both, newer, secret) as both,
        running(name, by_new, newer) as new,
    ):
        hooks = [await add_webhook(engine, building.tenant_id, one.url, secret=secret) for one in (old, both, new)]
        async with sending():
            await stale(engine, building, 0)
            for hook, expected in zip(hooks, (204, 204, 401), strict=True):
                await status(engine, hook, expected)
            await change(engine, "UPDATE subscription_secret SET expires_at = now() + interval '1 hour'")
            for hook in hooks:
                await change(
                    engine,
                    "INSERT INTO subscription_secret (subscription_id, secret) VALUES (:id, :secret)",
                    id=hook,
                    secret=newer,
                )
            await change(engine, "UPDATE subscription SET held_until = NULL, failures = 0")
            await stale(engine, building, 1)
            for hook in hooks:
                await status(engine, hook, 204)
            await change(engine, "UPDATE subscription_secret SET expires_at = now() WHERE secret = :old", old=secret)
            await stale(engine, building, 2)
            for hook, expected in zip(hooks, (401, 204, 204), strict=True):
                await status(engine, hook, expected)
        assert len(both.printed) == 3
        assert await deliveries(engine, hooks[0]) == [
            ("installation.stale", "delivered"),
            ("installation.stale", "delivered"),
            ("installation.stale", "waits"),
        ]


BODY = json.dumps({"type": "subscription.test", "time": "2026-11-23T15:12:48Z", "data": {}}).encode()


def signed(secret: str, body: bytes = BODY, *, message_id: str = "one") -> dict[str, str]:
    """The headers of a message, signed by the specification's own library."""
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def by_empty_key(headers: dict[str, str]) -> str:
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + BODY
    return f"v1,{base64.b64encode(hmac.digest(b'', content, 'sha256')).decode()}"


@pytest.mark.parametrize("name", RECEIVERS)
async def test_the_receiver_refuses_whatever_was_changed_or_is_missing(tmp_path: Path, secret: str, name: str) -> None:
    good = signed(secret)
    (signature,) = good["webhook-signature"].split()
    refused: list[tuple[bytes, dict[str, str]]] = [
        (BODY.replace(b"test", b"tset"), good),
        (BODY + b" ", good),
        (b"", good),
        (BODY, {**good, "webhook-id": "two"}),
        (BODY, {**good, "webhook-id": ""}),
        (BODY, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        (BODY, {**good, "webhook-timestamp": f"{good['webhook-timestamp']}.0"}),
        (BODY, {**good, "webhook-timestamp": "9" * 5000}),
        (BODY, {**good, "webhook-timestamp": "-1"}),
        (BODY, {**good, "webhook-signature": signature.replace("v1,", "v2,")}),
        (BODY, {**good, "webhook-signature": signature.removeprefix("v1,")}),
        (BODY, {**good, "webhook-signature": signature[:-8]}),
        (BODY, {**good, "webhook-signature": "v1,"}),
        (BODY, {**good, "webhook-signature": by_empty_key(good)}),
        *((BODY, {key: value for key, value in good.items() if key != left_out}) for left_out in good),
    ]
    several = {**good, "webhook-signature": f"v1a,AAAA {signed(new_secret())['webhook-signature']} {signature}"}
    async with running(name, tmp_path, secret) as receiver, httpx2.AsyncClient() as client:
        for body, headers in refused:
            answer = await client.post(receiver.url, content=body, headers=headers)
            assert (answer.status_code, body, headers) == (401, body, headers)
        with suppress(httpx2.NetworkError):  # it may hang up before it is sent all
            assert (await client.post(receiver.url, content=b"x" * 5_000_000, headers=good)).status_code == 413
        for headers in (several, good, signed(secret)):
            assert (await client.post(receiver.url, content=BODY, headers=headers)).status_code == 204
        assert (await client.post(receiver.url, content=BODY, headers=signed(secret, message_id="three"))).is_success
        await receiver.has_printed(2)
        # Who goes away in the middle does no harm.
        _, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(receiver.url).port)
        writer.write(b"POST /mbus HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n123")
        await writer.drain()
        writer.transport.abort()
        assert (await client.post(receiver.url, content=BODY, headers=signed(secret))).status_code == 204
    assert len(receiver.printed) == 2


@pytest.mark.parametrize("secrets", [(), ("whsec_",), ("AAAA" * 10,), ("whsec_AAAA",)])
@pytest.mark.parametrize("name", RECEIVERS)
async def test_the_receiver_does_not_start_without_a_secret_that_is_one(
    tmp_path: Path, name: str, secrets: tuple[str, ...]
) -> None:
    process = await start(name, tmp_path, await free_port(), *secrets)
    try:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 1
    assert "WEBHOOK_SECRETS" in errors.decode()


def test_each_type_has_an_example_that_is_one_and_each_of_its_fields_is_named() -> None:
    shown = [block[2] for block in FENCED.finditer(PAGE) if block[1] == "json"]
    types = [json.loads(example)["type"] for example in shown]
    # The first on the page is of the broker's events.
    assert sorted(types) == sorted({str(one) for one in (*SubscribedType, *SubscriberEventType)})
    for kind, example in zip(types, shown, strict=True):
        event = msgspec.json.decode(example, type=type_of(kind))
        assert json.loads(msgspec.json.encode(event)) == json.loads(example)
        for one in event.data.events if isinstance(event.data, Digest) else []:
            part = msgspec.json.decode(one, type=InstallationAlertEvent)
            assert json.loads(msgspec.json.encode(part)) == json.loads(bytes(one))
    fields = [field.name for kind in (Digest, SubscriptionDisabled) for field in msgspec.structs.fields(kind)]
    assert [name for name in fields if f"`{name}`" not in PAGE] == []


def type_of(kind: str) -> Any:
    if kind in TYPES:
        return TYPES[kind]
    return InstallationAlertEvent if kind.startswith("installation.") else GatewayAlertEvent


def test_the_table_of_attempts_is_the_schedule() -> None:
    table = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, _, _ in table] == list(range(1, len(DELAYS) + 1))
    assert [duration(after) for _, after, _ in table] == list(DELAYS)
    assert [duration(total) for _, _, total in table] == [
        sum(DELAYS[:n], timedelta()) for n in range(1, len(DELAYS) + 1)
    ]


def duration(text: str) -> timedelta:
    units = {"h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
    return sum((int(number) * units[unit] for number, unit in re.findall(r"(\d+) (h|min|s)", text)), timedelta())
