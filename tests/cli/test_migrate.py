"""`mbus migrate`: database and broker are ready afterwards, and it waits for servers that come up late."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import make_url

from shared import topology
from shared.broker_admin import BrokerAdmin
from shared.database import open_engine, refuse_powerful_role
from tests.cli.commands import mbus
from tests.support.databases import Database, Logins, create_database, drop_database, drop_roles
from tests.support.messages import queue_length
from tests.support.servers import Servers
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost


@dataclass(frozen=True)
class Fresh:
    """An empty database and an empty vhost, and logins that nobody has made yet."""

    database: Database
    vhost: Vhost

    @property
    def variables(self) -> dict[str, str]:
        return {
            "MBUS_DATABASE_URL": self.database.owner_url,
            "MBUS_INGEST_DATABASE_URL": self.database.ingest_url,
            "MBUS_ALERTS_DATABASE_URL": self.database.alerts_url,
            "MBUS_BROKER_URL": self.vhost.url,
            "MBUS_BROKER_MANAGEMENT_URL": self.vhost.management_url,
            "MBUS_INGEST_BROKER_URL": self.vhost.ingest_url,
        }


@pytest.fixture
async def fresh(servers: Servers) -> AsyncIterator[Fresh]:
    unique = secrets.token_hex(4)
    database = Database(servers.database_url, f"mbus_test_{unique}", Logins.for_session(unique))
    vhost = Vhost.for_session(servers, unique)
    async with BrokerAdmin(servers.management_url, vhost=vhost.name) as admin:
        await create_database(servers.database_url, database.name)
        await admin.put_vhost()
        await admin.put_full_rights(vhost.admin_name)
        yield Fresh(database, vhost)
        await admin.delete_vhost()
        for name in vhost.account_names:
            await admin.delete_account(name)
        await drop_database(servers.database_url, database.name)
        await drop_roles(servers.database_url, database.logins)


async def test_everything_that_is_named_is_made_ready_and_a_second_time_changes_nothing(fresh: Fresh) -> None:
    first = await mbus("migrate", variables=fresh.variables)
    assert (first.code, first.errors) == (0, "")
    name, vhost = fresh.database.name, fresh.vhost.name
    schema, *rest = first.out.splitlines()
    assert schema.startswith(f"database {name}: at revision ")
    assert schema.endswith(", new")
    assert rest == [
        "database: logins for mbus_ingest, mbus_alerts",
        f"broker {vhost}: exchanges, queues and policies are there, and accounts for ingest",
    ]
    for role, url in (("mbus_ingest", fresh.database.ingest_url), ("mbus_alerts", fresh.database.alerts_url)):
        async with open_engine(url, application_name="mbus-tests") as engine:
            await refuse_powerful_role(engine, service_role=role)
    assert await queue_length(fresh.vhost.ingest_url, topology.INGEST_READINGS) == 0

    second = await mbus("migrate", variables=fresh.variables)
    assert second.code == 0
    assert second.out.startswith(f"database {name}: already at revision ")


async def test_without_a_broker_only_the_database_is_made_ready(fresh: Fresh) -> None:
    ended = await mbus("migrate", variables={"MBUS_DATABASE_URL": fresh.database.owner_url})
    assert ended.code == 0
    assert ended.out.splitlines()[1:] == ["broker: left alone, MBUS_BROKER_URL is not set"]


async def test_a_broker_without_its_management_is_refused_before_anything_is_done(fresh: Fresh) -> None:
    variables = {"MBUS_DATABASE_URL": fresh.database.owner_url, "MBUS_BROKER_URL": fresh.vhost.url}
    ended = await mbus("migrate", variables=variables)
    assert (ended.code, ended.out) == (1, "")
    assert ended.errors == "mbus: MBUS_BROKER_MANAGEMENT_URL: is not set, and MBUS_BROKER_URL is\n"


async def test_a_vhost_that_is_not_there_is_named(fresh: Fresh) -> None:
    variables = fresh.variables | {"MBUS_BROKER_URL": fresh.vhost.url + "-elsewhere"}
    ended = await mbus("migrate", variables=variables)
    assert ended.code == 1
    assert (
        ended.errors
        == f"mbus: the broker has no virtual host '{fresh.vhost.name}-elsewhere', which MBUS_BROKER_URL names\n"
    )


async def test_servers_that_come_up_late_are_waited_for(fresh: Fresh) -> None:
    async with (
        TcpProxy(fresh.database.owner_url).open() as to_database,
        TcpProxy(fresh.vhost.url).open() as to_broker,
        TcpProxy(fresh.vhost.management_url).open() as to_management,
    ):
        ways = (to_database, to_broker, to_management)
        variables = fresh.variables | {
            "MBUS_DATABASE_URL": to_database.url,
            "MBUS_BROKER_URL": to_broker.url,
            "MBUS_BROKER_MANAGEMENT_URL": to_management.url,
        }
        for way in ways:
            await way.cut()
        migrating = asyncio.create_task(mbus("migrate", "--wait", "60", variables=variables))
        for way in ways:
            done, _ = await asyncio.wait({migrating}, timeout=0.7)
            assert not done
            await way.restore()
        ended = await migrating
    assert (ended.code, ended.errors) == (0, "")


async def test_a_login_that_is_refused_is_not_waited_for(fresh: Fresh) -> None:
    wrong = make_url(fresh.database.owner_url).set(password="hunter2").render_as_string(hide_password=False)
    variables = fresh.variables | {"MBUS_DATABASE_URL": wrong}
    ended = await asyncio.wait_for(mbus("migrate", "--wait", "600", variables=variables), 60)
    assert ended.code == 1
    assert "password authentication failed" in ended.errors
    assert "hunter2" not in ended.errors
