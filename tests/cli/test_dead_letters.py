"""`mbus dead-letters`, as a person and as a program uses it, on whichever broker there is."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pamqp.common import FieldValue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.dead_letters import EXCHANGE_HEADER, REASON_HEADER
from shared.transmission import CORRECTS_NOTHING_HEADER, RECEIVED_AT_HEADER
from tests.cli.commands import Finished, mbus, running_mbus, variables_of
from tests.shared.test_broker_odd_messages import ODD
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, open_channel, publish_as_gateway, queue_length
from tests.support.raw_amqp import RefusedError, publish_raw
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "gateways.GW-1.readings"

Command = Callable[..., Awaitable[Finished]]


@pytest.fixture
def letters(vhost: Vhost) -> Command:
    async def run(*arguments: object, stdin: bytes = b"") -> Finished:
        variables = {"MBUS_BROKER_URL": vhost.url}
        return await mbus("dead-letters", *map(str, arguments), variables=variables, stdin=stdin)

    return run


async def put(vhost: Vhost, *bodies: bytes, key: str = KEY, reason: str = "not JSON: x", at: datetime = NOON) -> None:
    """Put dead letters into the queue, as ingest does, an hour apart."""
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.DEAD_LETTERS)
        for number, body in enumerate(bodies):
            headers: dict[str, FieldValue] = {
                REASON_HEADER: reason,
                EXCHANGE_HEADER: topology.GATEWAYS,
                RECEIVED_AT_HEADER: (at + timedelta(hours=number)).isoformat(),
                "of-the-sender": "æ",
            }
            message = aio_pika.Message(body, headers=headers, message_id=f"m-{number}", content_type="text/x")
            await exchange.publish(message, key, timeout=10)


async def drain(vhost: Vhost, queue: str) -> list[AbstractIncomingMessage]:
    """Take all that is in a queue."""
    taken = []
    async with open_channel(vhost.url) as channel:
        source = await channel.get_queue(queue)
        while (message := await source.get(fail=False, no_ack=True)) is not None:
            taken.append(message)
    return taken


async def listed(letters: Command, *options: object) -> dict[str, Any]:
    ended = await letters("list", "--json", *options)
    assert ended.code == 0, ended.errors
    page: dict[str, Any] = json.loads(ended.out)
    return page


async def test_looking_leaves_all_where_it_is_and_in_its_order(vhost: Vhost, letters: Command) -> None:
    bodies = [f"{n}".encode() for n in range(30)]
    await put(vhost, *bodies)
    page: dict[str, Any] = {}
    for _ in range(3):
        page = await listed(letters, "--limit", 10, "--look", 20)
        assert (page["looked_at"], page["in_queue"], len(page["items"])) == (20, 30, 10)
    assert (await letters("show", page["items"][7]["id"])).code == 0
    assert (await listed(letters))["counts"] == {"not JSON": 30}
    assert [message.body for message in await drain(vhost, topology.DEAD_LETTERS)] == bodies


async def test_a_list_for_people(vhost: Vhost, letters: Command) -> None:
    await put(vhost, b"hello", b"\x1b[31m")
    await put(vhost, b"x" * 1234, key="gateways.\x1b.readings", reason="the routing key names no gateway")
    ids = [item["id"] for item in (await listed(letters))["items"]]
    lines = [line.rstrip() for line in (await letters("list")).out.splitlines()]
    assert lines == [
        "id            received              bytes  routing key             reason",
        f"{ids[0]}  2026-03-01 12:00:00Z      5  gateways.GW-1.readings  not JSON: x",
        f"{ids[1]}  2026-03-01 13:00:00Z      5  gateways.GW-1.readings  not JSON: x",
        f"{ids[2]}  2026-03-01 12:00:00Z  1,234  gateways.\\x1b.readings  the routing key names no gateway",
        "",
        "3 dead letters: 2 not JSON, 1 the routing key names no gateway",
    ]
    assert (await letters("list", "--look", 2)).out.splitlines()[-1] == "Looked at the oldest 2 of 3."


async def test_an_empty_queue_is_told(vhost: Vhost, letters: Command) -> None:
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 0
    assert (await letters("list")).out == "0 dead letters.\n"
    assert (await letters("show", "abc")).errors == "mbus: there is no dead letter abc\n"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--reason", "JSON"), [0, 1, 2]),
        (("--reason", "NOT utf"), [3]),
        (("--gateway", "GW-2"), [3]),
        (("--since", "2026-03-01T13:00:00Z"), [1, 2]),
        (("--until", "2026-03-01T14:00:00Z"), [0, 1, 3]),
        (("--since", "36h"), []),
    ],
    ids=str,
)
async def test_dead_letters_are_chosen_by_reason_gateway_and_time(
    vhost: Vhost, letters: Command, options: tuple[str, ...], found: list[int]
) -> None:
    await put(vhost, b"0", b"1", b"2")
    await put(vhost, b"3", key="gateways.GW-2.readings", reason="not UTF-8: invalid start byte")
    chosen = (await listed(letters, *options))["items"]
    bodies = []
    for item in chosen:
        shown = json.loads((await letters("show", item["id"], "--json")).out)
        bodies.append(shown["body_base64"])
    assert bodies == [{0: "MA==", 1: "MQ==", 2: "Mg==", 3: "Mw=="}[n] for n in found]


async def test_one_is_shown_and_nothing_in_it_reaches_the_terminal_as_a_command(vhost: Vhost, letters: Command) -> None:
    await put(vhost, b"\x1b[31mr\xc3\xb8d \xff")
    (item,) = (await listed(letters))["items"]
    ended = await letters("show", item["id"])
    assert ended.out.endswith("\n\n\\x1b[31mrød \\xff\n")
    assert "exchange     gateways\n" in ended.out
    assert "header       of-the-sender: æ\n" in ended.out


async def test_a_replay_goes_to_where_it_came_from_as_it_was_with_the_time_of_its_receipt(
    vhost: Vhost, letters: Command
) -> None:
    await put(vhost, b"a", b"b", b"c")
    chosen = (await listed(letters, "--since", "2026-03-01T13:00:00Z", "--until", "2026-03-01T14:00:00Z"))["items"]
    ended = await letters("replay", chosen[0]["id"])
    assert (ended.code, ended.out) == (0, "1 dead letter was replayed.\n")
    (sent,) = await drain(vhost, topology.INGEST_READINGS)
    assert (sent.body, sent.routing_key, sent.exchange) == (b"b", KEY, topology.GATEWAYS)
    assert (sent.message_id, sent.content_type) == ("m-1", "text/x")
    assert sent.headers["of-the-sender"] == "æ"
    assert sent.headers[RECEIVED_AT_HEADER] == "2026-03-01T13:00:00+00:00"
    assert not {REASON_HEADER, EXCHANGE_HEADER, CORRECTS_NOTHING_HEADER} & sent.headers.keys()
    assert sent.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert [message.body for message in await drain(vhost, topology.DEAD_LETTERS)] == [b"a", b"c"]


async def test_what_a_queue_gave_up_and_what_no_queue_took_is_known_by_the_broker(
    vhost: Vhost, letters: Command
) -> None:
    await publish_as_gateway(vhost.url, "GW-1", b"given up", headers={EXCHANGE_HEADER: "alerts"})
    async with open_channel(vhost.url) as channel:
        message = await (await channel.get_queue(topology.INGEST_READINGS)).get()
        assert message is not None
        await message.reject(requeue=False)
    await publish_as_gateway(vhost.url, "", b"not taken", key="gateways.GW-1.other", headers={EXCHANGE_HEADER: "x"})
    await eventually(lambda: _there_are(vhost, topology.DEAD_LETTERS, 2))
    found = {item["reason"]: item["exchange"] for item in (await listed(letters))["items"]}
    assert found == {
        "given up by the queue ingest.readings: rejected": "gateways",
        "no queue takes what has this routing key": "gateways",
    }
    assert (await letters("replay", "--all")).out == "2 dead letters were replayed.\n"
    (sent,) = await drain(vhost, topology.INGEST_READINGS)
    assert sent.body == b"given up"
    assert not {name for name in sent.headers if name.startswith(("x-death", "x-first", "x-last"))}
    # The other came back: there is no queue for it still.
    await eventually(lambda: _there_are(vhost, topology.DEAD_LETTERS, 1))


async def _there_are(vhost: Vhost, queue: str, number: int) -> bool:
    return await queue_length(vhost.url, queue) == number


async def test_what_comes_from_nowhere_stays(vhost: Vhost, letters: Command) -> None:
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.DEAD_LETTERS)
        await exchange.publish(aio_pika.Message(b"?"), "who.knows", timeout=10)
        await exchange.publish(aio_pika.Message(b"!", headers={EXCHANGE_HEADER: "alerts"}), KEY, timeout=10)
    ended = await letters("replay", "--all")
    assert ended.out.splitlines() == [
        "0 dead letters were replayed.",
        "2 dead letters stayed: nobody knows where they came from.",
    ]
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 2


async def test_of_what_nobody_knows_when_it_was_received_a_replay_corrects_nothing(
    vhost: Vhost, letters: Command
) -> None:
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.DEAD_LETTERS)
        await exchange.publish(aio_pika.Message(b"old", headers={REASON_HEADER: "not JSON"}), KEY, timeout=10)
    await letters("replay", "--all")
    (sent,) = await drain(vhost, topology.INGEST_READINGS)
    assert sent.headers[CORRECTS_NOTHING_HEADER] is True


async def test_what_comes_back_is_replayed_once_a_run(database: Database, vhost: Vhost, letters: Command) -> None:
    async with running_ingest(database, vhost):
        for n in range(5):
            await publish_as_gateway(vhost.url, "GW-1", f"junk {n}".encode())
        await eventually(lambda: _there_are(vhost, topology.DEAD_LETTERS, 5))
        before = (await listed(letters))["items"]
        # Ingest, in this process, writes its log to the same stdout.
        assert '{"replayed":5,"dry_run":false}\n' in (await letters("replay", "--all", "--json")).out
        await eventually(lambda: _there_are(vhost, topology.DEAD_LETTERS, 5))
        after = (await listed(letters))["items"]
    # The same in all, the time of their receipt too.
    assert sorted(item["id"] for item in before) == sorted(item["id"] for item in after)


async def test_what_the_database_refused_is_stored_by_a_replay_and_wins_over_nothing_newer(
    engine: AsyncEngine, database: Database, vhost: Vhost, letters: Command
) -> None:
    building = await create_building(engine, meters=1)
    reading = {"meter_serial": "70000000", "timestamp": NOON.isoformat(), "value": 666}
    later = {**reading, "timestamp": (NOON + timedelta(hours=1)).isoformat()}
    async with running_ingest(database, vhost):
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE reading ADD CONSTRAINT ck_reading_not_666 CHECK (value <> 666)"))
        await publish_as_gateway(vhost.url, building.gateway_id, [reading, later])
        await eventually(lambda: _there_are(vhost, topology.DEAD_LETTERS, 1))
        await publish_as_gateway(vhost.url, building.gateway_id, {**reading, "value": 7})
        await next_message(vhost.url, topology.ALERTS_READINGS_STORED)
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE reading DROP CONSTRAINT ck_reading_not_666"))
        assert (await letters("replay", "--reason", "cannot be stored")).code == 0

        async def stored() -> bool:
            async with engine.connect() as connection:
                rows = await connection.execute(text("SELECT value FROM reading ORDER BY timestamp"))
                return list(rows.scalars()) == [7.0, 666.0]

        await eventually(stored)


async def test_discarding_asks_and_spares_what_is_not_meant(vhost: Vhost, letters: Command) -> None:
    await put(vhost, b"a", b"b")
    await put(vhost, b"c", reason="not UTF-8")
    asked = await letters("discard", "--reason", "json", stdin=b"n\n")
    assert asked.code == 1
    assert asked.out.strip() == "2 dead letters: 2 not JSON"
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == 3
    dry = await letters("discard", "--all", "--dry-run")
    assert dry.out == "3 dead letters would be discarded; nothing changed.\n"
    done = await letters("discard", "--reason", "json", "--yes")
    assert done.out == "2 dead letters were discarded.\n"
    assert [message.body for message in await drain(vhost, topology.DEAD_LETTERS)] == [b"c"]


@pytest.mark.parametrize("command", ["replay", "discard"])
async def test_without_a_choice_nothing_is_done(letters: Command, command: str) -> None:
    ended = await letters(command)
    assert ended.code == 2
    assert "say which" in ended.errors


async def test_odd_messages_are_looked_at_and_replayed_and_lost_by_neither(vhost: Vhost, letters: Command) -> None:
    there = 0
    for values in ODD.values():
        try:
            await publish_raw(vhost.url, topology.DEAD_LETTERS, b"gateways.\xff.readings", b"odd", dict(values))
        except RefusedError:  # RabbitMQ 3.10 looks at the delivery mode itself
            continue
        there += 1
    assert (await listed(letters))["looked_at"] == there
    await put(vhost, b"x")
    assert (await letters("replay", "--gateway", "GW-1")).out == "1 dead letter was replayed.\n"
    assert (await letters("discard", "--all", "--yes")).out == f"{there} dead letters were discarded.\n"


async def test_a_kill_in_the_middle_of_a_replay_loses_nothing(vhost: Vhost) -> None:
    bodies = {f"{n}".encode() for n in range(1500)}
    await put(vhost, *sorted(bodies))

    async def some_are_there() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) > 100

    async with running_mbus("dead-letters", "replay", "--all", variables={"MBUS_BROKER_URL": vhost.url}) as process:
        await eventually(some_are_there)
        process.kill()
        await process.wait()

    async def all_came_back() -> bool:
        there = [await queue_length(vhost.url, queue) for queue in (topology.INGEST_READINGS, topology.DEAD_LETTERS)]
        return sum(there) >= len(bodies)

    await eventually(all_came_back)
    sent = {message.body for message in await drain(vhost, topology.INGEST_READINGS)}
    left = {message.body for message in await drain(vhost, topology.DEAD_LETTERS)}
    assert sent
    assert left
    assert sent | left == bodies
    assert len(sent & left) <= 1


async def test_a_vhost_that_was_not_made_ready_and_a_broker_that_is_away_are_one_line(
    database: Database, vhost: Vhost
) -> None:
    async with open_channel(vhost.url) as channel:
        await channel.queue_delete(topology.DEAD_LETTERS)
    ended = await mbus("dead-letters", "list", variables=variables_of(database, vhost))
    assert (ended.code, ended.errors) == (1, "mbus: the broker has no queue `dead-letters`; run `mbus migrate`\n")
    away = {"MBUS_BROKER_URL": "amqp://nobody:nothing@127.0.0.1:1/none"}
    ended = await mbus("dead-letters", "list", variables=away)
    assert ended.errors.startswith("mbus: the broker in MBUS_BROKER_URL cannot be reached: ")
