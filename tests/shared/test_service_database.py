"""A service's database: away at the start it is waited for, and a login with too much power is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.database import TooPowerfulRoleError
from shared.service_database import DatabaseAwayError, ServiceDatabase
from tests.support.databases import Database, create_database, drop_database
from tests.support.servers import Servers


@pytest.fixture
async def absent(servers: Servers, template: Database) -> AsyncIterator[Database]:
    """A database that does not exist yet."""
    later = Database(servers.database_url, f"{template.name}_later", template.logins)
    yield later
    await drop_database(servers.database_url, later.name)


async def test_a_database_that_is_there_is_ready_at_once(database: Database) -> None:
    service = ServiceDatabase(database.query_url, service_role="mbus_query")
    async with service.open():
        assert service.verified
        await service.check()
    assert not service.verified


async def test_a_database_that_comes_later_is_waited_for(
    servers: Servers, template: Database, absent: Database
) -> None:
    service = ServiceDatabase(absent.query_url, service_role="mbus_query")
    async with service.open():
        with pytest.raises(DatabaseAwayError):
            await service.check()
        await create_database(servers.database_url, absent.name, template=template.name)
        while not service.verified:  # noqa: ASYNC110 - nothing tells of it but asking, as an orchestrator does
            await asyncio.sleep(0.01)
        await service.check()


@pytest.mark.parametrize("login", ["owner_url", "ingest_url"])
async def test_a_login_with_too_much_power_ends_the_start(database: Database, login: str) -> None:
    service = ServiceDatabase(getattr(database, login), service_role="mbus_query")
    with pytest.RaisesGroup(TooPowerfulRoleError):
        async with service.open():
            pytest.fail("opened")


async def test_a_login_with_too_much_power_ends_the_service_also_when_it_is_found_later(
    servers: Servers, template: Database, absent: Database
) -> None:
    service = ServiceDatabase(absent.owner_url, service_role="mbus_query")
    with pytest.RaisesGroup(TooPowerfulRoleError):
        async with service.open():
            await create_database(servers.database_url, absent.name, template=template.name)
            await asyncio.Event().wait()
    assert not service.verified
