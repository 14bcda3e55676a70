"""`mbus quarantine`, as a person and as a program uses it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.database import create_sessions
from shared.models import QuarantinedReading, Tenant
from shared.transmission import RECEIVED_AT_HEADER
from tests.cli.commands import Finished, mbus, running_mbus, variables_of
from tests.support.databases import Database
from tests.support.messages import eventually, next_message, publish_as_gateway, queue_length
from tests.support.quarantine import quarantined
from tests.support.registry import create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Command = Callable[..., Any]


@pytest.fixture
async def ids(engine: AsyncEngine) -> list[int]:
    """Of GW-1 two that wait for a meter an hour apart and one that was replayed, of GW-2 one with a bad value."""
    rows = [
        QuarantinedReading(
            gateway_id=gateway,
            reason=reason,
            detail=f"what is wrong with {n}",
            original=f'{{"n": {n}, "unit": "m³\\u001b[31m"}}'.encode(),
            first_seen_at=NOON,
            last_seen_at=NOON + timedelta(hours=n),
            seen_count=n + 1,
            replayed_at=replayed_at,
        )
        for n, (gateway, reason, replayed_at) in enumerate(
            [
                ("GW-1", "unknown_installation", None),
                ("GW-1", "unknown_installation", None),
                ("GW-1", "unknown_gateway", NOON),
                ("GW-2", "invalid_value", None),
            ]
        )
    ]
    async with create_sessions(engine).begin() as session:
        session.add_all(rows)
        await session.flush()
        return [row.id for row in rows]


@pytest.fixture
def quarantine(database: Database, vhost: Vhost) -> Command:
    async def run(*arguments: object, stdin: bytes = b"") -> Finished:
        return await mbus("quarantine", *map(str, arguments), variables=variables_of(database, vhost), stdin=stdin)

    return run


async def listed(quarantine: Command, *arguments: object) -> dict[str, Any]:
    ended = await quarantine("list", "--json", *arguments)
    assert ended.code == 0, ended.errors
    page: dict[str, Any] = json.loads(ended.out)
    return page


async def test_a_list_shows_the_newest_first_and_how_many_there_are_of_each_reason(
    quarantine: Command, ids: list[int]
) -> None:
    ended = await quarantine("list")
    lines = [line.rstrip() for line in ended.out.splitlines()]
    assert lines == [
        "id  last received         seen  gateway  reason                detail",
        f" {ids[3]}  2026-03-01 15:00:00Z     4  GW-2     invalid_value         what is wrong with 3",
        f" {ids[1]}  2026-03-01 13:00:00Z     2  GW-1     unknown_installation  what is wrong with 1",
        f" {ids[0]}  2026-03-01 12:00:00Z     1  GW-1     unknown_installation  what is wrong with 0",
        "",
        "3 readings waiting: 2 unknown_installation, 1 invalid_value",
    ]


async def test_a_list_of_any_state_says_which(quarantine: Command, ids: list[int]) -> None:
    lines = [line.split() for line in (await quarantine("list", "--state", "any")).out.splitlines()]
    assert lines[0][:6] == ["id", "last", "received", "seen", "state", "gateway"]
    states = {int(line[0]): line[4] for line in lines[1:5]}
    assert states == {ids[0]: "waiting", ids[1]: "waiting", ids[2]: "replayed", ids[3]: "waiting"}


async def test_ids_that_are_not_there_or_not_meant_are_told_and_nothing_is_done(
    quarantine: Command, engine: AsyncEngine, vhost: Vhost, ids: list[int]
) -> None:
    for command in (("replay",), ("replay", "--dry-run"), ("discard", "--yes")):
        ended = await quarantine(*command, ids[0], ids[2], 7777)
        assert (ended.code, ended.out) == (1, "")
        assert ended.errors == (
            "mbus: there is no quarantined reading 7777;"
            f" the other options (--state waiting) leave out {ids[2]}; nothing was done\n"
        )
    assert {row.id for row in await quarantined(engine, waiting=True)} == {ids[0], ids[1], ids[3]}
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0


async def test_a_list_comes_in_pages(quarantine: Command, ids: list[int]) -> None:
    page = await listed(quarantine, "--limit", 2)
    assert [item["id"] for item in page["items"]] == [ids[3], ids[1]]
    assert page["has_next"]
    last = await listed(quarantine, "--limit", 2, "--cursor", page["next_cursor"])
    assert [item["id"] for item in last["items"]] == [ids[0]]
    assert (last["has_next"], last["next_cursor"]) == (False, None)
    assert page["counts"] == last["counts"] == {"unknown_installation": 2, "invalid_value": 1}
    assert f"--cursor {page['next_cursor']}" in (await quarantine("list", "--limit", 2)).out


CHOICES: list[tuple[tuple[str, ...], list[int]]] = [
    (("--reason", "unknown_installation"), [1, 0]),
    (("--reason", "unknown_installation", "--reason", "invalid_value"), [3, 1, 0]),
    (("--gateway", "GW-2"), [3]),
    (("--gateway", "GW-1", "--reason", "invalid_value"), []),
    (("--since", "2026-03-01T13:00:00Z"), [3, 1]),
    (("--since", "2026-03-01", "--until", "2026-03-01T14:00:00+01:00"), [0]),
    (("--since", "36h"), []),
    (("--state", "replayed"), [2]),
    (("--state", "any"), [3, 2, 1, 0]),
    (("--tenant", "acme"), [3]),
]


async def test_readings_are_chosen_by_reason_gateway_tenant_time_and_state(
    engine: AsyncEngine, quarantine: Command, ids: list[int]
) -> None:
    building = await create_building(engine, gateway_id="GW-2")
    async with engine.begin() as connection:
        await connection.execute(update(Tenant).where(Tenant.id == building.tenant_id).values(slug="acme"))
    for options, found in CHOICES:
        page = await listed(quarantine, *options)
        assert [item["id"] for item in page["items"]] == [ids[n] for n in found], options
        assert sum(page["counts"].values()) == len(found), options


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("list", "--reason", "bad_luck"), 2, "bad_luck"),
    (("list", "--since", "yesterday"), 2, "yesterday"),
    (("list", "--tenant", "nobody"), 1, "mbus: there is no tenant 'nobody'\n"),
    (("show", "7777"), 1, "mbus: there is no quarantined reading 7777\n"),
    (("replay",), 2, "say which"),
    (("discard", "--yes"), 2, "say which"),
]


async def test_what_cannot_be_meant_is_refused(quarantine: Command) -> None:
    for arguments, code, complaint in REFUSED:
        ended = await quarantine(*arguments)
        assert (ended.code, ended.out) == (code, ""), arguments
        assert complaint in ended.errors


async def test_one_is_shown_with_its_text_of_which_nothing_reaches_the_terminal_as_a_command(
    quarantine: Command, engine: AsyncEngine, ids: list[int]
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            update(QuarantinedReading).where(QuarantinedReading.id == ids[0]).values(original="m³ \x1b[31m".encode())
        )
    ended = await quarantine("show", ids[0])
    assert ended.out.endswith("\n\nm³ \\x1b[31m\n")
    assert "last_seen_at   2026-03-01 12:00:00Z\n" in ended.out
    told = json.loads((await quarantine("show", ids[0], "--json")).out)
    assert (told["id"], told["original"], told["seen_count"]) == (ids[0], "m³ \x1b[31m", 1)


async def test_the_original_can_be_had_as_it_was_sent_to_be_mended_and_published(
    database: Database, ids: list[int]
) -> None:
    async with running_mbus(
        "quarantine", "show", str(ids[3]), "--original", variables=variables_of(database)
    ) as process:
        out, _ = await process.communicate()
    assert out == '{"n": 3, "unit": "m³\\u001b[31m"}'.encode()


async def test_a_replay_publishes_under_the_gateways_key_with_the_time_of_receipt_and_marks(
    quarantine: Command, engine: AsyncEngine, vhost: Vhost, ids: list[int]
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            update(QuarantinedReading).where(QuarantinedReading.id == ids[3]).values(format="wmbus", may_correct=False)
        )
    ended = await quarantine("replay", ids[3], ids[1])
    said = "2 readings were replayed.\nWhat is refused again waits again: `mbus quarantine list` shows it.\n"
    assert (ended.code, ended.out) == (0, said)
    messages = [await next_message(vhost.url, topology.INGEST_READINGS) for _ in range(2)]
    sent = {str(message.routing_key): message for message in messages}
    assert set(sent) == {"gateways.GW-1.readings", "gateways.GW-2.wmbus"}
    one, other = sent["gateways.GW-1.readings"], sent["gateways.GW-2.wmbus"]
    assert one.body == b'{"n": 1, "unit": "m\xc2\xb3\\u001b[31m"}'
    assert one.headers[RECEIVED_AT_HEADER] == "2026-03-01T13:00:00+00:00"
    assert "x-mbus-corrects-nothing" not in one.headers
    assert other.headers["x-mbus-corrects-nothing"] is True
    assert [row.id for row in await quarantined(engine, waiting=True)] == [ids[0]]


@pytest.mark.usefixtures("ids")
async def test_a_dry_run_and_an_empty_choice_do_nothing(quarantine: Command, engine: AsyncEngine, vhost: Vhost) -> None:
    for command, done in {"replay": "replayed", "discard": "discarded"}.items():
        ended = await quarantine(command, "--all", "--dry-run")
        assert (ended.code, ended.out) == (0, f"3 readings would be {done}; nothing changed.\n")
        ended = await quarantine(command, "--gateway", "GW-9", "--json")
        assert (ended.code, json.loads(ended.out)) == (0, {done: 0, "dry_run": False})
    assert len(await quarantined(engine, waiting=True)) == 3
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0


async def test_what_comes_back_from_a_replay_is_replayed_once(
    quarantine: Command, engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with running_ingest(database, vhost):
        bad = [{"meter_serial": "70000000", "timestamp": f"{2000 + n}", "value": 1} for n in range(250)]
        await publish_as_gateway(vhost.url, building.gateway_id, bad)
        await eventually(lambda: _waiting(engine, 250))
        ended = await quarantine("replay", "--all", "--json")
        assert json.loads(ended.out) == {"replayed": 250, "dry_run": False}
        await eventually(lambda: _waiting(engine, 250))
    assert {row.seen_count for row in await quarantined(engine)} == {1}


async def _waiting(engine: AsyncEngine, number: int) -> bool:
    return len(await quarantined(engine, waiting=True)) == number


@pytest.mark.usefixtures("ids")
async def test_a_broker_that_is_away_leaves_all_waiting(database: Database, engine: AsyncEngine) -> None:
    away = {**variables_of(database), "MBUS_BROKER_URL": "amqp://nobody:nothing@127.0.0.1:1/none"}
    ended = await mbus("quarantine", "replay", "--all", variables=away)
    assert ended.code == 1
    assert ended.errors.startswith("mbus: the broker in MBUS_BROKER_URL cannot be reached: ")
    assert len(await quarantined(engine, waiting=True)) == 3


async def test_what_the_broker_refuses_is_not_marked(
    database: Database, engine: AsyncEngine, vhost: Vhost, ids: list[int]
) -> None:
    # An account that may publish to the keys of one gateway only.
    async with engine.begin() as connection:
        await connection.execute(
            update(QuarantinedReading).where(QuarantinedReading.id == ids[0]).values(gateway_id="no.gateway")
        )
    refused = {**variables_of(database, vhost), "MBUS_BROKER_URL": vhost.ingest_url}
    ended = await mbus("quarantine", "replay", str(ids[0]), variables=refused)
    assert ended.code == 1
    assert ended.errors.startswith("mbus: the broker refused: ")
    assert ids[0] in [row.id for row in await quarantined(engine, waiting=True)]


async def test_discarding_asks_and_says_what_there_is(quarantine: Command, engine: AsyncEngine, ids: list[int]) -> None:
    asked = await quarantine("discard", "--gateway", "GW-1", stdin=b"n\n")
    assert asked.code == 1
    assert asked.out.strip() == "2 readings waiting: 2 unknown_installation"
    assert "Discard them for ever?" in asked.errors
    assert len(await quarantined(engine)) == 4
    done = await quarantine("discard", "--gateway", "GW-1", stdin=b"y\n")
    assert done.out.splitlines()[-1].strip() == "2 readings were discarded."
    done = await quarantine("discard", ids[2], "--state", "replayed", "--yes")
    assert done.out == "1 reading was discarded.\n"
    assert [row.id for row in await quarantined(engine)] == [ids[3]]


async def test_a_kill_in_the_middle_of_a_replay_loses_nothing(
    database: Database, engine: AsyncEngine, vhost: Vhost
) -> None:
    building = await create_building(engine, meters=1)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO quarantined_reading (gateway_id, reason, detail, original) SELECT :gateway, 'malformed',"
                " '', int8send(n) FROM generate_series(1, 3000) n"
            ),
            {"gateway": building.gateway_id},
        )

    async def some_are_there() -> bool:
        return await queue_length(vhost.url, topology.INGEST_READINGS) > 150

    async with running_mbus("quarantine", "replay", "--all", variables=variables_of(database, vhost)) as process:
        await eventually(some_are_there)
        process.kill()
        await process.wait()
    # First how many are marked: the server may still end what the dead one had begun.
    async with engine.connect() as connection:
        marked = await connection.scalar(
            select(func.count()).select_from(QuarantinedReading).where(QuarantinedReading.replayed_at.is_not(None))
        )
    assert 0 < (marked or 0) <= await queue_length(vhost.url, topology.INGEST_READINGS) < 3000
