"""`mbus simulate`: what it says it sent is in the queue, and with ingest running in the database."""

import asyncio
import json
import re
import signal
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.demo import SILENT_SERIAL, SIMULATE, demo_records, import_demo
from cli.errors import CommandError
from cli.fleet.gateways import Ticks
from cli.simulation.verifying import verify
from shared import topology
from shared.clock import utc_now
from shared.messages.gateway import GatewayMessage
from shared.registry.gateways import disable_gateway
from shared.registry.operations import import_registry
from shared.registry.problems import Place
from shared.registry.records import Record
from tests.cli.commands import Finished, mbus, running_mbus, variables_of
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, open_channel, queue_length
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.tcp_proxy import TcpProxy
from tests.support.vhosts import Vhost

TINY = ("--gateways", "2", "--meters", "9", "--days", "2", "--interval", "4h", "--readings-per-message", "10")


async def simulate(database: Database, vhost: Vhost, *arguments: str) -> Finished:
    return await mbus("simulate", *arguments, variables=variables_of(database, vhost))


async def messages(vhost: Vhost) -> list[GatewayMessage]:
    """Every message in the queue of ingest, which is empty afterwards; each came under its gateway's key."""
    async with open_channel(vhost.url) as channel:
        queue = await channel.get_queue(topology.INGEST_READINGS)
        found = []
        while (message := await queue.get(fail=False, no_ack=True)) is not None:
            body = msgspec.json.decode(message.body, type=GatewayMessage)
            assert message.routing_key == f"gateways.{body.gateway_id}.readings"
            assert message.delivery_mode == 2
            found.append(body)
        return found


def keys(found: list[GatewayMessage]) -> Counter[tuple[str, datetime]]:
    """How often each meter's reading of each time was sent."""
    return Counter(
        (str(reading.installation_id or reading.meter_serial), reading.timestamp)
        for message in found
        for reading in message.readings
    )


async def stored(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM reading")) or 0)


async def test_the_counts_that_it_reports_are_those_of_the_queue(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    ended = await simulate(database, vhost, *TINY, "--retransmit", "0.3", "--late", "0.2", "--json")
    assert ended.code == 0
    report = json.loads(ended.out)
    found = await messages(vhost)
    counted = keys(found)
    assert report["readings"] == len(counted) == 2 * 9 * 12
    assert report["messages"] == len(found)
    assert report["retransmitted_readings"] == counted.total() - len(counted) > 0
    assert report["late_messages"] > 0
    assert (report["gateways"], report["meters"], report["verified"]) == (2, 18, False)
    times = [timestamp for _, timestamp in counted]
    assert min(times) == datetime.fromisoformat(report["first_timestamp"])
    assert max(times) == datetime.fromisoformat(report["last_timestamp"])
    assert timedelta(0) <= utc_now() - max(times) < timedelta(hours=4)
    async with engine.connect() as connection:
        known = await connection.execute(text("SELECT id, meter_serial, gateway_id FROM meter_installation"))
        names = {name for row in known for name in (str(row.id), row.meter_serial)}
        assert {name for name, _ in counted} <= names


async def test_the_same_history_twice_is_the_same_readings_and_registers_nothing_new(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    for _ in range(2):
        assert (await simulate(database, vhost, *TINY)).code == 0
    values = {
        (str(reading.installation_id or reading.meter_serial), reading.timestamp, reading.value)
        for message in await messages(vhost)
        for reading in message.readings
    }
    assert len(values) <= 2 * 9 * 13
    assert len(values) == len({(name, timestamp) for name, timestamp, _ in values})
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM meter_installation")) == 18


async def test_what_is_silent_is_not_sent(database: Database, vhost: Vhost) -> None:
    silent = ("--silent-gateway", "2@1d", "--silent-meter", "1/3")
    ended = await simulate(database, vhost, *TINY, *silent, "--retransmit", "0", "--json")
    counted = Counter(name.gateway_id for name in await messages(vhost) for _ in name.readings)
    assert counted["FLEET-0001"] == 8 * 12
    assert 9 * 5 <= counted["FLEET-0002"] <= 9 * 7
    assert json.loads(ended.out)["readings"] == counted.total()


async def test_a_rate_is_kept(database: Database, vhost: Vhost) -> None:
    ended = await simulate(database, vhost, *TINY, "--retransmit", "0", "--rate", "100", "--json")
    assert 1.8 < json.loads(ended.out)["seconds"] < 10


async def test_all_that_was_sent_is_verified_to_be_in_the_database_once(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    async with running_ingest(database, vhost):
        ended = await simulate(database, vhost, *TINY, "--retransmit", "0.5", "--late", "0.3", "--verify")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "All of them are in the database, each once."
    assert await stored(engine) == 2 * 9 * 12


async def test_a_database_that_has_more_than_was_sent_is_told(database: Database, vhost: Vhost) -> None:
    async with running_ingest(database, vhost):
        await simulate(database, vhost, *TINY, "--verify")
        ended = await simulate(database, vhost, *TINY, "--silent-meter", "1/1", "--verify")
    assert ended.code == 1
    assert ended.errors.splitlines()[-1].startswith("mbus: the database has ")


async def test_a_database_to_which_nothing_more_comes_is_told(engine: AsyncEngine) -> None:
    with pytest.raises(CommandError, match=r"^only 0 of 5 readings are in the database, and no more arrive$"):
        await verify(engine, [UUID(int=1)], Ticks(0, 3600, 5), 5, patience_s=0.1)


async def test_a_tenants_own_meters_are_run_as_they_are_registered(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=4, installed_at=utc_now() - timedelta(days=1))
    async with engine.connect() as connection:
        slug = str(await connection.scalar(text("SELECT slug FROM tenant")))
    ended = await simulate(
        database, vhost, "--existing", "--tenant", slug, "--days", "7", "--retransmit", "0", "--json"
    )
    report = json.loads(ended.out)
    counted = keys(await messages(vhost))
    assert {name for name, _ in counted} == {str(id_) for id_ in building.installation_ids}
    assert report["readings"] == len(counted) == 4 * 24
    assert min(timestamp for _, timestamp in counted) >= utc_now() - timedelta(days=1, minutes=1)


async def test_the_demo_leaves_meters_alone_that_a_user_registered_with_a_gateway_of_their_own(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    await import_demo(engine, clock=utc_now)
    of_demo = next(demo_records()).cells
    records = [
        Record(Place(number, "meter"), {**of_demo, "meter_serial": f"1000000{number}", "gateway_id": gateway_id})
        for number, gateway_id in enumerate(("GW-MINE", ""))
    ]
    await import_registry(engine, records, clock=utc_now)
    async with engine.connect() as connection:
        query = (
            "SELECT unnest(ARRAY[id::text, meter_serial]) FROM meter_installation WHERE meter_serial LIKE '1000000_'"
        )
        mine = set(await connection.scalars(text(query)))
    assert len(mine) == 4
    once = [argument for argument in SIMULATE if argument != "--follow"]
    ended = await mbus(*once, "--interval", "1d", variables=variables_of(database, vhost))
    assert ended.code == 0, ended.errors
    sent = await messages(vhost)
    assert {body.gateway_id for body in sent} == {"GW-0001", "GW-0002"}
    assert {name for name, _ in keys(sent)}.isdisjoint(mine)


async def test_the_meters_of_a_named_gateway_that_is_disabled_are_heard_by_another_that_is_named(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    await import_demo(engine, clock=utc_now)
    await disable_gateway(engine, "GW-0001", now=utc_now())
    both = ("--existing", "--tenant", "demo", "--gateway", "GW-0001", "--gateway", "GW-0002")
    ended = await simulate(database, vhost, *both, "--days", "1", "--interval", "1d", "--json")
    assert (ended.code, json.loads(ended.out)["meters"]) == (0, 25), ended.errors
    assert {body.gateway_id for body in await messages(vhost)} == {"GW-0002"}
    for gateway_id, reason in {
        "GW-0001": "the tenant 'demo' has no gateway that could hear its meters",
        "GW-9": "the tenant 'demo' has no gateway 'GW-9'",
    }.items():
        ended = await simulate(database, vhost, "--existing", "--tenant", "demo", "--gateway", gateway_id)
        assert (ended.code, ended.errors) == (1, f"mbus: {reason}\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--existing", "--tenant", "nobody"), "there is no tenant 'nobody'"),
        (("--silent-gateway", "99"), "the fleet has no gateway '99'; it has 10, such as 'FLEET-0001'"),
        (("--silent-meter", "12345"), "the fleet has no meter with the serial '12345'"),
    ],
)
async def test_what_cannot_be_simulated_is_one_line(
    database: Database, vhost: Vhost, arguments: tuple[str, ...], reason: str
) -> None:
    ended = await simulate(database, vhost, *arguments)
    assert (ended.code, ended.out, ended.errors) == (1, "", f"mbus: {reason}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--gateways", "0"),
        ("--late", "1.5"),
        ("--interval", "soon"),
        ("--days", "1", "--interval", "2d"),
        ("--tenant", "Fleet"),
        ("--tenant", "t" * 59),
        ("--silent-gateway", "3@later"),
        ("--gateways", "9999", "--meters", "10000"),
        ("--gateway", "FLEET-0001"),
    ],
)
async def test_options_that_cannot_be_are_usage_errors(
    database: Database, vhost: Vhost, arguments: tuple[str, ...]
) -> None:
    assert (await simulate(database, vhost, *arguments)).code == 2


async def test_a_simulator_without_past_and_present_says_that_there_is_nothing_to_send(
    database: Database, vhost: Vhost
) -> None:
    ended = await simulate(database, vhost, "--gateways", "2", "--meters", "1", "--days", "0")
    said = "2 gateways, and nothing to send: no days of history, and no --follow\n"
    assert (ended.code, ended.out, ended.errors) == (0, "", said)


async def test_one_of_anything_is_told_as_one(database: Database, vhost: Vhost) -> None:
    one = ("--gateways", "1", "--meters", "1", "--days", "1", "--interval", "1d", "--retransmit", "1", "--late", "0")
    ended = await simulate(database, vhost, *one)
    assert ended.out.startswith("1 gateway, 1 meter, ")
    assert "\n1 distinct reading in " in ended.out
    assert ended.out.endswith("  sent again: 1 reading in 1 message\n  sent late:  0 readings in 0 messages\n")


async def test_a_history_that_is_interrupted_says_what_was_sent_until_then(database: Database, vhost: Vhost) -> None:
    slow = ("--readings-per-message", "10", "--retransmit", "0", "--late", "0", "--rate", "20")
    async with running_mbus("simulate", *slow, variables=variables_of(database, vhost)) as process:
        for _ in range(2):  # The first has its confirm when the second is there.
            await next_message(vhost.url, topology.INGEST_READINGS)
        process.send_signal(signal.SIGINT)
        out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (130, b"")
    told = re.fullmatch(r"interrupted: (\d+) distinct readings sent in (\d+) messages?\n", errors.decode())
    assert told
    assert int(told[1]) == 10 * int(told[2]) > 0


async def test_the_demo_goes_from_its_history_on_into_the_present_until_it_is_told_to_stop(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    assert not (await import_demo(engine, clock=utc_now)).changes_nothing
    assert (await import_demo(engine, clock=utc_now)).changes_nothing
    async with running_mbus(*SIMULATE, "--every", "1s", "--json", variables=variables_of(database, vhost)) as process:
        assert process.stdout
        report = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert report["readings"] == 24 * 7 * 24
        history = keys(await messages(vhost))
        present: list[GatewayMessage] = []
        while len({body.readings[0].timestamp for body in present}) < 3:
            message = await next_message(vhost.url, topology.INGEST_READINGS)
            present.append(msgspec.json.decode(message.body, type=GatewayMessage))
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert errors.decode().splitlines()[-1] == "stopped"
    assert {body.gateway_id for body in present} == {"GW-0001", "GW-0002"}
    newest = max(timestamp for _, timestamp in keys(present))
    assert abs(utc_now() - newest) < timedelta(minutes=1)
    assert newest.microsecond == 0
    async with engine.connect() as connection:
        silent = await connection.execute(
            text("SELECT id::text, meter_serial FROM meter_installation WHERE meter_serial = :serial"),
            {"serial": SILENT_SERIAL},
        )
        assert set(silent.one()).isdisjoint({name for name, _ in history | keys(present)})


async def test_a_simulator_that_follows_outlives_the_brokers_absence(database: Database, vhost: Vhost) -> None:
    follow = ("--gateways", "1", "--meters", "2", "--days", "0", "--follow", "--every", "1s")
    async with TcpProxy(vhost.url).open() as way:
        variables = variables_of(database, vhost) | {"MBUS_BROKER_URL": way.url}
        async with running_mbus("simulate", *follow, variables=variables) as process:
            assert process.stderr
            before = await next_message(vhost.url, topology.INGEST_READINGS)
            await way.cut()
            told = [await asyncio.wait_for(process.stderr.readline(), 30) for _ in range(2)]
            assert told[1].startswith(b"the broker does not take messages")
            await way.restore()
            assert await asyncio.wait_for(process.stderr.readline(), 30) == b"the broker takes messages again\n"

            async def several() -> bool:
                return await queue_length(vhost.url, topology.INGEST_READINGS) >= 3

            await eventually(several)
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    first = msgspec.json.decode(before.body, type=GatewayMessage).readings[0].timestamp
    times = sorted({timestamp for _, timestamp in keys(await messages(vhost))})
    # The moments of the outage were sent too, when it was over.
    assert times[0] <= first + timedelta(seconds=2)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=1)}
