"""`mbus subscriber`: what each command says and does, and what it leaves alone."""

import json

import aio_pika
import pytest
from aio_pika.exceptions import ProbableAuthenticationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker_admin import BrokerAdmin
from shared.models import Tenant
from tests.cli.gateways.conftest import wait_for_end
from tests.cli.subscribers.conftest import Commands
from tests.support.messages import eventually, open_channel
from tests.support.registry import Building, create_building
from tests.support.vhosts import Vhost


async def declare(url: str, *queues: str) -> None:
    async with open_channel(url) as channel:
        for queue in queues:
            await channel.declare_queue(queue, durable=True)


async def queues(vhost: Vhost) -> set[str]:
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        return {it for it in await admin.queues() if it.startswith("sub.")}


async def test_add_prints_for_people_what_it_prints_for_programs_and_the_password_once(
    subscriber: Commands, building: Building, name: str
) -> None:
    ended = await subscriber.run("add", name, "--tenant", subscriber.tenant)
    assert ended.out.endswith("The password is not shown again.\n")
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines()[:-1])
    assert told["subscriber"] == told["username"] == name
    assert told["tenant"] == subscriber.tenant
    assert told["exchange"] == "alerts"
    assert told["binding"] == f"{building.tenant_id}.#"
    await declare(told["amqp_url"], told["queue"])
    listed = await subscriber.run("list", "--json")
    assert told["password"] not in listed.out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("add", "a.b", "--tenant", "{tenant}"), 1, "a subscriber's name must be 1-64 letters, digits, hyphens"),
        (("add", "somebody", "--tenant", "nobody"), 1, "there is no tenant 'nobody'"),
        (("add", "{service}", "--tenant", "{tenant}"), 1, "already; its password stays as it is"),
        (("add", "somebody"), 2, "either --tenant SLUG or --operator"),
        (("add", "somebody", "--tenant", "{tenant}", "--operator"), 2, "either --tenant SLUG or --operator"),
        (("rotate", "somebody"), 1, "there is no subscriber 'somebody'; `mbus subscriber list` shows them"),
        (("rotate", "{service}"), 1, "there is no subscriber"),
        (("remove", "somebody"), 1, "there is no subscriber 'somebody'; `mbus subscriber list` shows them"),
        (("remove", "{service}"), 1, "there is no subscriber"),
        (("list", "--tenant", "nobody"), 1, "there is no tenant 'nobody'"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    vhost: Vhost, subscriber: Commands, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    names = {"service": vhost.alerts_name, "tenant": subscriber.tenant}
    ended = await subscriber.run(*(it.format(**names) for it in arguments))
    assert (ended.code, ended.out) == (code, "")
    assert reason in " ".join(ended.errors.replace("│", " ").split())
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        assert not await admin.has_account("somebody")
    await (await aio_pika.connect(vhost.alerts_url)).close()


async def test_one_that_is_there_is_not_added_again(subscriber: Commands, name: str) -> None:
    access = await subscriber.add(name)
    ended = await subscriber.run("add", name, "--operator")
    assert (ended.code, ended.out) == (1, "")
    assert "(`mbus subscriber rotate` makes another)" in ended.errors
    await declare(access["amqp_url"], access["queue"])


async def test_rotate_ends_what_the_old_password_opened_and_keeps_the_queues(
    vhost: Vhost, subscriber: Commands, name: str
) -> None:
    old = await subscriber.add(name)
    await declare(old["amqp_url"], old["queue"])
    connection = await aio_pika.connect(old["amqp_url"])
    new = await subscriber.told("rotate", name)
    assert {it for it in old if old[it] != new[it]} == {"password", "amqp_url"}
    await wait_for_end(connection)
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(old["amqp_url"])
    await declare(new["amqp_url"], new["queue"])
    assert await queues(vhost) == {old["queue"]}


async def test_remove_ends_its_connections_and_deletes_its_queues_but_not_those_of_others(
    engine: AsyncEngine, vhost: Vhost, subscriber: Commands, name: str
) -> None:
    access, longer = await subscriber.add(name), await subscriber.add(f"{name}-2")
    theirs = await create_building(engine)
    async with engine.connect() as connection:
        slug = await connection.scalar(select(Tenant.slug).where(Tenant.id == theirs.tenant_id))
    other = await subscriber.told("add", f"{name}-3", "--tenant", str(slug))
    await declare(access["amqp_url"], access["queue"], f"{access['queue']}.spare")
    await declare(longer["amqp_url"], longer["queue"], f"sub.{longer['binding'].removesuffix('.#')}.named-otherwise")
    await declare(other["amqp_url"], other["queue"])
    async with open_channel(access["amqp_url"]) as channel:
        await channel.declare_exchange(f"{access['queue']}.through", durable=True)

    opened = await aio_pika.connect(access["amqp_url"])
    removed = await subscriber.told("remove", name)
    assert removed == {"subscriber": name, "queues": [access["queue"], f"{access['queue']}.spare"]}
    await wait_for_end(opened)
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(access["amqp_url"])
    left = await queues(vhost)
    assert len(left) == 3
    assert {longer["queue"], other["queue"]} < left
    async with BrokerAdmin(vhost.management_url, vhost=vhost.name) as admin:
        assert not [it for it in await admin.exchanges() if it.startswith("sub.")]
        assert not await admin.has_account(name)

    # With the last of a tenant go all of its queues, whatever they are called.
    ended = await subscriber.run("remove", f"{name}-2")
    assert ended.out == f"{name}-2 is removed, with 2 queues.\n"
    assert await queues(vhost) == {other["queue"]}


async def test_the_list_says_whose_events_they_read_and_what_waits_for_them(subscriber: Commands, name: str) -> None:
    access = await subscriber.add(name)
    await subscriber.told("add", f"{name}-ops", "--operator")
    async with open_channel(access["amqp_url"]) as channel:
        exchange = await channel.declare_exchange(f"{access['queue']}.own", durable=True)
        queue = await channel.declare_queue(access["queue"], durable=True)
        await queue.bind(exchange, "#")
        await exchange.publish(aio_pika.Message(b"{}"), "#", timeout=10)

        async def is_told() -> bool:
            listed = await subscriber.run("list", "--json")
            known = {it["subscriber"]: it for it in map(json.loads, listed.out.splitlines())}
            operators = {"tenant": None, "connections": 0, "queues": 0, "waiting": 0}
            assert known[f"{name}-ops"] == {"subscriber": f"{name}-ops", **operators}
            return bool(
                known[name]
                == {"subscriber": name, "tenant": subscriber.tenant, "connections": 1, "queues": 1, "waiting": 1}
            )

        await eventually(is_told, timeout_s=30)
        shown = (await subscriber.run("list")).out.splitlines()
    assert shown[0].split() == ["subscriber", "reads", "connected", "queues", "waiting"]
    assert shown[1].split() == [name, "tenant", subscriber.tenant, "yes", "1", "1"]
    assert shown[2].split() == [f"{name}-ops", "for", "operators", "no", "0", "0"]
    assert shown[3:] == ["2 subscribers."]
    only = await subscriber.run("list", "--tenant", subscriber.tenant)
    assert [line.split()[0] for line in only.out.splitlines()] == ["subscriber", name, "1"]
