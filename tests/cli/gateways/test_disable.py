"""`mbus gateway disable`: the account is gone, its connections end, and what was accepted before is stored."""

import json
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from aio_pika.exceptions import ProbableAuthenticationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cli.gateways.conftest import Commands, wait_for_end
from tests.support.databases import Database
from tests.support.messages import eventually, publish_as_gateway
from tests.support.registry import Building, create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost


async def test_its_connections_end_and_nobody_can_log_in_until_it_is_added_again(
    gateway: Commands, gateway_id: str
) -> None:
    access = await gateway.add(gateway_id)
    connection = await aio_pika.connect(access["amqp_url"])
    ended = await gateway.run("disable", gateway_id)
    assert (ended.code, ended.out) == (0, f"{gateway_id} is disabled.\n")
    await wait_for_end(connection)
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(access["amqp_url"])

    again = await gateway.run("disable", gateway_id)
    assert (again.code, again.out) == (0, f"{gateway_id} was disabled already.\n")

    back = await gateway.add(gateway_id)
    assert back["password"] != access["password"]
    await (await aio_pika.connect(back["amqp_url"])).close()
    assert await gateway.told("disable", gateway_id) == {"gateway_id": gateway_id, "changed": True}


async def test_one_that_never_had_an_account_can_be_disabled_and_others_are_refused(
    engine: AsyncEngine, building: Building, gateway: Commands
) -> None:
    assert (await gateway.told("disable", building.gateway_id))["changed"]
    theirs = await create_building(engine)
    ended = await gateway.run("disable", theirs.gateway_id, "--tenant", gateway.tenant)
    assert (ended.code, ended.errors) == (1, f"mbus: {theirs.gateway_id} is a gateway of another tenant\n")
    ended = await gateway.run("disable", "GW-NONE")
    assert ended.errors == "mbus: there is no gateway 'GW-NONE'; `mbus gateway list` shows them\n"


async def test_what_the_broker_had_accepted_is_stored_and_what_the_gateway_cannot_have_heard_is_kept_aside(
    database: Database, engine: AsyncEngine, vhost: Vhost, building: Building, gateway: Commands
) -> None:
    now = datetime.now(UTC)
    meter = {"installation_id": str(building.installation_ids[0]), "value": 1}
    heard_in_time = meter | {"timestamp": (now - timedelta(hours=4)).isoformat()}
    await publish_as_gateway(vhost.url, building.gateway_id, [heard_in_time])
    await gateway.told("disable", building.gateway_id)
    async with engine.begin() as connection:
        # As if that had been a while ago: only an administrator can publish for it since.
        await connection.execute(text("UPDATE gateway SET deleted_at = deleted_at - interval '3 hours'"))
    await publish_as_gateway(vhost.url, building.gateway_id, [meter | {"timestamp": now.isoformat()}])

    async def outcome() -> tuple[list[datetime], list[str]]:
        async with engine.connect() as connection:
            stored = await connection.scalars(text("SELECT timestamp FROM reading"))
            reasons = await connection.scalars(text("SELECT reason FROM quarantined_reading"))
            return list(stored), list(reasons)

    async def is_done() -> bool:
        stored, reasons = await outcome()
        return len(stored) + len(reasons) == 2

    async with running_ingest(database, vhost):
        await eventually(is_done)
    assert await outcome() == ([now - timedelta(hours=4)], ["gateway_disabled"])


async def test_the_list_says_whose_they_are_and_how_they_do(
    building: Building, gateway: Commands, gateway_id: str
) -> None:
    access = await gateway.add(gateway_id)
    async with await aio_pika.connect(access["amqp_url"]):
        listed = await gateway.run("list", "--json")
        shown = await gateway.run("list", "--tenant", gateway.tenant)
    known = {it["gateway_id"]: it for it in map(json.loads, listed.out.splitlines())}
    assert known[gateway_id] | {"disabled_at": None} == {
        "gateway_id": gateway_id,
        "tenant": gateway.tenant,
        "name": gateway_id,
        "meters": 0,
        "disabled_at": None,
        "has_account": True,
        "connections": 1,
    }
    assert (known[building.gateway_id]["has_account"], known[building.gateway_id]["meters"]) == (False, 3)
    assert [line.split()[0] for line in shown.out.splitlines()] == [
        "gateway",
        *sorted((building.gateway_id, gateway_id)),
        "2",
    ]
    assert "in use" in shown.out
    assert "no account" in shown.out
    await gateway.told("disable", gateway_id)
    assert "disabled since 20" in (await gateway.run("list")).out
    ended = await gateway.run("list", "--tenant", "nobody")
    assert (ended.code, ended.errors) == (1, "mbus: there is no tenant 'nobody'\n")
