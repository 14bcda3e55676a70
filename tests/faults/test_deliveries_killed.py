"""Alerts is killed with -9 at every step of a delivery: each event arrives, and always under the same id."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from services.alerts.webhooks.signing import new_secret
from tests.faults.test_alerts_killed import ROOT, kill_when_seen
from tests.faults.transitions import Step
from tests.services.alerts.standing import change, hear_gateway, long_registered, rows
from tests.support.databases import Database
from tests.support.ingest_session import idle_session
from tests.support.mailbox import Mailbox
from tests.support.messages import eventually
from tests.support.registry import create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.tcp_proxy import TcpProxy
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost
from tests.support.webhook_receiver import receiving
from tests.support.wire import Moment, PostgresWire, Wire

pytestmark = pytest.mark.faults

METERS = 5

CLAIM = b"UPDATE subscription s SET claimed_until"
SETTLE = b"SET digest_id = head.id"
WRITE = b"last_status = sent.status"
COMMITTED = [b"COMMIT;", b"COMMIT\x00"]

UNTIL_SETTLED: dict[str, Step] = {
    "before its rows are made": [b"INSERT INTO delivery", b"INSERT INTO delivery"],
    "before the transition is committed": [b"INSERT INTO delivery", b"INSERT INTO delivery", b"COMMIT;"],
    "when the transition is committed": [b"INSERT INTO delivery", b"INSERT INTO delivery", *COMMITTED],
    "before it is claimed": [CLAIM],
    "when it is claimed": [CLAIM, *COMMITTED],
    "before it is settled what goes together": [SETTLE],
    "when that is settled": [SETTLE, *COMMITTED],
}
UNTIL_WRITTEN: dict[str, Step] = {
    "before it is written down": [WRITE],
    "before that is committed": [WRITE, b"COMMIT;"],
    "when it is written down": [WRITE, *COMMITTED],
}
BY_WEBHOOK: dict[str, Step] = {
    **UNTIL_SETTLED,
    "before it is posted": [b"POST /alerts"],
    "when it was answered": [b"HTTP/1.1 204"],
    **UNTIL_WRITTEN,
}
BY_MAIL: dict[str, Step] = {
    "before the mail server is called": [b"EHLO"],
    "before the mail is sent": [b"DATA\r\n"],
    "when the mail server has taken it": [b"DATA\r\n", b"354", b"250"],
    **UNTIL_WRITTEN,
}
ALL_TOLD = "SELECT count(*) FROM delivery WHERE subscription_id IS NOT NULL AND delivered_at IS NOT NULL"


class AnyWire(Wire):
    """Of whatever comes, as it comes."""

    @override
    def to_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        yield data, None

    @override
    def from_server(self, data: bytes) -> Iterator[tuple[bytes, Moment | None]]:
        yield data, None


@asynccontextmanager
async def alerts_process(settings: Mapping[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Alerts, which judges and tells at once; killed at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
    at_once = {"PORT": "0", "SETTLE_S": "0", "DIGEST_WAIT_S": "0", "WEBHOOKS_ALLOWED": "127.0.0.1"}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.alerts"),
            cwd=ROOT,
            env=environment
            | {f"MBUS_ALERTS_{name}": value for name, value in {**at_once, **settings}.items()}
            | {"MBUS_JWT_SECRET": SECRET},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(SIGKILL)
        await process.wait()


async def meters_will_fall_silent(engine: AsyncEngine) -> None:
    """All of one property, and so told together."""
    at = datetime.now(UTC)
    await long_registered(engine, at)
    for (gateway_id,) in await rows(engine, "SELECT id FROM gateway"):
        await hear_gateway(engine, gateway_id, at)


async def kill_at_each(
    steps: Mapping[str, Step],
    engine: AsyncEngine,
    database: Database,
    *,
    settings: Mapping[str, str],
    other: TcpProxy,
    log: Path,
) -> None:
    """Each process goes on from what the one before has left, and comes a step further; the last is left to finish."""
    for name, step in steps.items():
        to_database = TcpProxy(f"{database.alerts_url}?sslmode=disable", PostgresWire)
        killed = asyncio.Event()
        async with to_database.open(), alerts_process({**settings, "DATABASE_URL": to_database.url}, log) as process:
            kill_when_seen(process, step, [to_database, other], killed)
            with suppress(TimeoutError):
                await asyncio.wait_for(killed.wait(), 60)
            assert killed.is_set(), f"it never came to: {name}"
            assert await process.wait() == -SIGKILL
        other.trap = None
        # As if the time had passed for which nobody else takes what it has claimed.
        await change(engine, "UPDATE subscription SET claimed_until = NULL, held_until = NULL")
        await change(engine, "UPDATE delivery SET next_attempt_at = now() WHERE delivered_at IS NULL")

    async def all_is_told() -> bool:
        return await rows(engine, ALL_TOLD) == [(METERS,)]

    async with alerts_process({**settings, "DATABASE_URL": database.alerts_url}, log):
        with suppress(TimeoutError):
            await eventually(all_is_told, timeout_s=60)
    assert await rows(engine, ALL_TOLD) == [(METERS,)]
    assert await rows(engine, "SELECT count(*) FROM alert") == [(METERS,)]


@pytest.mark.timeout(300)
async def test_a_webhook(engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path) -> None:
    building = await create_building(engine, meters=METERS)
    secret = new_secret()
    async with receiving(secret) as receiver:
        to_receiver = TcpProxy(receiver.url, AnyWire)
        async with to_receiver.open(), idle_session(database):
            await add_webhook(engine, building.tenant_id, to_receiver.url.replace("@", ""), secret=secret)
            await meters_will_fall_silent(engine)
            settings = {"BROKER_URL": vhost.alerts_url}
            await kill_at_each(
                BY_WEBHOOK, engine, database, settings=settings, other=to_receiver, log=tmp_path / "alerts.log"
            )
    assert len(receiver.received) > 2, "it was answered, and that was lost with the process"
    assert len({(one.message_id, one.body) for one in receiver.received}) == 1
    told = [event["data"]["installation_id"] for event in receiver.received[0].events]
    assert sorted(told) == sorted(str(one) for one in building.installation_ids)


@pytest.mark.timeout(300)
async def test_a_mail(engine: AsyncEngine, database: Database, vhost: Vhost, tmp_path: Path) -> None:
    building = await create_building(engine, meters=METERS)
    async with Mailbox.open() as mailbox:
        to_server = TcpProxy(mailbox.url, AnyWire)
        async with to_server.open(), idle_session(database):
            await add_mail(engine, building.tenant_id)
            await meters_will_fall_silent(engine)
            settings = {
                "BROKER_URL": vhost.alerts_url,
                "SMTP_URL": to_server.url.replace("@", ""),
                "SMTP_WITHOUT_TLS": "true",
                "MAIL_FROM": "alerts@example.com",
                "PUBLIC_URL": "https://alerts.example.com",
                "UNSUBSCRIBE_KEY": "k" * 32,
            }
            await kill_at_each(
                BY_MAIL, engine, database, settings=settings, other=to_server, log=tmp_path / "alerts.log"
            )
    mails = {(one.message["Message-ID"], one.message["Subject"]) for one in mailbox.received}
    assert len(mails) == 1, "each attempt is the same mail"
