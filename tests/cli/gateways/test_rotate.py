"""`mbus gateway rotate`: the old password opens nothing any more, nor does a connection that it opened before."""

import aio_pika
import pytest
from aio_pika.exceptions import ProbableAuthenticationError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from tests.cli.gateways.conftest import Commands, wait_for_end
from tests.support.messages import next_message
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost


async def test_the_old_password_fails_its_connections_are_closed_and_the_new_one_works(
    vhost: Vhost, gateway: Commands, gateway_id: str
) -> None:
    old = await gateway.add(gateway_id)
    connections = [await aio_pika.connect(old["amqp_url"]) for _ in range(2)]
    new = await gateway.told("rotate", gateway_id, "--tenant", gateway.tenant)
    assert {name for name in old if old[name] != new[name]} == {"password", "amqp_url"}

    for connection in connections:
        await wait_for_end(connection)
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(old["amqp_url"])
    async with await aio_pika.connect(new["amqp_url"]) as connection:
        exchange = await (await connection.channel()).get_exchange(topology.GATEWAYS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{}"), new["routing_key"])
    assert (await next_message(vhost.url, topology.INGEST_READINGS)).routing_key == new["routing_key"]


async def test_others_stay_connected(vhost: Vhost, gateway: Commands, gateway_id: str) -> None:
    await gateway.add(gateway_id)
    async with await aio_pika.connect(vhost.ingest_url) as other:
        await gateway.told("rotate", gateway_id)
        await (await other.channel()).close()


async def test_what_it_prints_for_people(gateway: Commands, gateway_id: str) -> None:
    await gateway.add(gateway_id)
    ended = await gateway.run("rotate", gateway_id)
    assert ended.out.endswith("The password is not shown again.\n")
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines()[:-1])
    await (await aio_pika.connect(told["amqp_url"])).close()


async def test_who_has_no_account_has_no_password_to_rotate(
    engine: AsyncEngine, building: Building, gateway: Commands, gateway_id: str
) -> None:
    known = building.gateway_id
    add = f"`mbus gateway add {known} --tenant {gateway.tenant}`"
    ended = await gateway.run("rotate", known)
    assert ended.errors == f"mbus: {known} has no account on the broker; {add} makes one\n"
    await gateway.told("disable", known)
    ended = await gateway.run("rotate", known)
    assert ended.errors == f"mbus: {known} is disabled; {add} takes it into use again\n"
    ended = await gateway.run("rotate", gateway_id)
    assert ended.errors == f"mbus: there is no gateway '{gateway_id}'; `mbus gateway list` shows them\n"
    theirs = await create_building(engine)
    ended = await gateway.run("rotate", theirs.gateway_id, "--tenant", gateway.tenant)
    assert (ended.code, ended.errors) == (1, f"mbus: {theirs.gateway_id} is a gateway of another tenant\n")
