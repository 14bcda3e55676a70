"""`mbus gateway add`: the account that it makes can publish under its own key, and nothing else."""

import json
import secrets
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.broker_admin import BrokerAdmin
from shared.models import Gateway, Tenant
from tests.cli.commands import Finished, mbus, variables_of
from tests.support.databases import Database
from tests.support.messages import next_message, open_channel
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost


@pytest.fixture
async def gateway_id(vhost: Vhost) -> AsyncIterator[str]:
    """An id whose account, if there is one, is deleted after the test."""
    name = f"TEST-{secrets.token_hex(4)}"
    yield name
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        await admin.delete_account(name)


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


async def add(database: Database, vhost: Vhost, *arguments: str) -> Finished:
    return await mbus("gateway", "add", *arguments, variables=variables_of(database, vhost))


async def publish(url: str, key: str, *, exchange: str = topology.GATEWAYS) -> None:
    async with open_channel(url) as channel:
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(aio_pika.Message(b"{}"), key, timeout=10)


async def test_an_added_gateway_can_publish_under_its_own_key_only(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building, gateway_id: str
) -> None:
    slug = await slug_of(engine, building)
    ended = await add(database, vhost, gateway_id, "--tenant", slug, "--name", "In the cellar", "--json")
    assert ended.code == 0
    access = json.loads(ended.out)
    assert access["username"] == access["gateway_id"] == gateway_id
    assert (access["exchange"], access["routing_key"]) == ("gateways", f"gateways.{gateway_id}.readings")

    await publish(access["amqp_url"], access["routing_key"])
    message = await next_message(vhost.url, topology.INGEST_READINGS)
    assert message.routing_key == access["routing_key"]
    for key in ("gateways.GW-0001.readings", f"gateways.{gateway_id}.readings.x", f"gateways.{gateway_id}xreadings"):
        with pytest.raises(ChannelAccessRefused):
            await publish(access["amqp_url"], key)
    with pytest.raises(ChannelAccessRefused):
        await publish(access["amqp_url"], f"readings.stored.{building.tenant_id}", exchange=topology.EVENTS)
    async with engine.connect() as connection:
        name = await connection.scalar(select(Gateway.name).where(Gateway.id == gateway_id))
    assert name == "In the cellar"


async def test_what_it_prints_for_people_has_the_same_and_the_password_once(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building, gateway_id: str
) -> None:
    ended = await add(database, vhost, gateway_id, "--tenant", await slug_of(engine, building))
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines()[:-1])
    assert told["gateway_id"] == gateway_id
    await publish(told["amqp_url"], told["routing_key"])


async def test_an_account_that_is_there_is_left_alone(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building, gateway_id: str
) -> None:
    slug = await slug_of(engine, building)
    access = json.loads((await add(database, vhost, gateway_id, "--tenant", slug, "--json")).out)
    again = await add(database, vhost, gateway_id, "--tenant", slug)
    assert (again.code, again.out) == (1, "")
    assert again.errors == f"mbus: {gateway_id} has an account on the broker already; its password stays as it is\n"
    await publish(access["amqp_url"], access["routing_key"])


async def test_an_account_that_is_no_gateways_is_not_taken_over(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building
) -> None:
    ended = await add(database, vhost, vhost.ingest_name, "--tenant", await slug_of(engine, building))
    assert ended.code == 1
    assert "has an account on the broker already" in ended.errors
    await publish(vhost.ingest_url, f"readings.stored.{building.tenant_id}", exchange=topology.EVENTS)


@pytest.mark.parametrize(
    ("id_", "reason"),
    [
        ("GW.1", "the gateway id must be 1-64 letters, digits, hyphens and underscores"),
        ("THEIRS", "THEIRS is a gateway of another tenant"),
    ],
)
async def test_a_gateway_that_cannot_be_is_refused_before_it_has_an_account(
    database: Database, engine: AsyncEngine, vhost: Vhost, id_: str, reason: str
) -> None:
    await create_building(engine, gateway_id="THEIRS")
    ended = await add(database, vhost, id_, "--tenant", await slug_of(engine, await create_building(engine)))
    assert (ended.code, ended.errors) == (1, f"mbus: {reason}\n")
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        assert not await admin.has_account(id_)


async def test_a_gateway_of_a_tenant_that_is_not_there_is_refused(database: Database, vhost: Vhost) -> None:
    ended = await add(database, vhost, "GW-NEW", "--tenant", "nobody")
    assert ended.errors == "mbus: there is no tenant 'nobody'; `mbus registry import` creates one\n"


async def slug_of(engine: AsyncEngine, building: Building) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(select(Tenant.slug).where(Tenant.id == building.tenant_id)))
