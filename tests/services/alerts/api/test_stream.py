"""`GET /alerts/stream` on a real server: what is told to whom, from where on, and when a stream ends."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import live
from services.alerts.api.app import callers_database
from services.alerts.operations.numbering import NUMBER, number_events
from services.alerts.operations.retention import remove_delivered
from services.alerts.queries import stream
from services.alerts.queries.stream import Ahead, Live, StreamFilters, events_ahead
from services.alerts.settings import AlertsSettings
from shared.database import open_engine
from shared.http.reach import Reach
from shared.http.tenant_share import TenantBusyError
from shared.service_database import DatabaseAwayError, NoFreeConnectionError
from tests.services.alerts.api.data import add_alert, building_beside
from tests.services.alerts.api.streaming import Served, numbering, serving
from tests.services.alerts.standing import change, rows
from tests.services.alerts.telling import tell, tell_of
from tests.support.databases import Database
from tests.support.foreign_ids import tampered
from tests.support.messages import eventually
from tests.support.processes import running
from tests.support.registry import Building, add_meter, create_building
from tests.support.server_sent_events import Event, listening
from tests.support.tcp_proxy import TcpProxy
from tests.support.tokens import SECRET, Headers
from tests.support.vhosts import Vhost

URL = "/alerts/stream"


@pytest.fixture
async def numbered(database: Database) -> AsyncIterator[None]:
    async with open_engine(database.alerts_url, application_name="mbus-numbering") as engine, numbering(engine):
        yield


@pytest.fixture
async def served(settings: AlertsSettings) -> AsyncIterator[Served]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine)


@pytest.fixture
async def alert_id(engine: AsyncEngine, building: Building) -> UUID:
    return await add_alert(engine, building, installation_id=building.installation_ids[0])


def ids(events: list[Event]) -> list[UUID]:
    """Of the CloudEvents."""
    return [UUID(event.data["id"]) for event in events]


async def metric(client: httpx2.AsyncClient, name: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    (found,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(found.split()[1])


@pytest.mark.usefixtures("numbered")
async def test_what_comes_from_now_on_is_told_as_the_event_that_subscribers_get(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    before = await tell(engine, alert_id)
    await eventually_numbered(engine)
    async with listening(served.client, URL, headers(building.tenant_id)) as events:
        assert await metric(served.client, "mbus_alerts_streams") == 1
        later = await tell(engine, alert_id, kind="installation.recovered", address="Østergade 1\r\n2")
        ((event,),) = [await events.take()]
        assert before != later
        ((kept,),) = await rows(engine, "SELECT event FROM delivery WHERE id = :id", id=later)
        assert (event.type, event.data) == ("installation.recovered", kept)
        assert 2000 <= events.reconnect_ms <= 5000
        assert events.answer.headers["cache-control"] == "no-store"
        assert events.answer.headers["x-accel-buffering"] == "no"
    await eventually_closed(served)
    assert await metric(served.client, "mbus_alerts_streamed_total") == 1


async def eventually_numbered(engine: AsyncEngine) -> None:
    async def all_are() -> bool:
        return await rows(engine, "SELECT id FROM delivery WHERE number IS NULL LIMIT 1") == []

    await eventually(all_are)


async def eventually_closed(served: Served) -> None:
    async def none_is_open() -> bool:
        return await metric(served.client, "mbus_alerts_streams") == 0

    await eventually(none_is_open)


@pytest.mark.usefixtures("numbered")
@pytest.mark.parametrize("way", ["header", "parameter"])
async def test_over_many_reconnects_nothing_is_left_out_or_told_twice_while_many_write_at_once(
    *, served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID, way: str
) -> None:
    """Those that began first commit last."""
    told: set[UUID] = set()

    async def write(number: int) -> None:
        chance = random.Random(number)
        for _ in range(20):
            async with engine.begin() as connection:
                event_ids = [await tell_of(connection, alert_id) for _ in range(chance.randint(1, 3))]
                await connection.execute(text("SELECT pg_sleep(:s)"), {"s": chance.random() / 50})
            told.update(event_ids)

    caller = headers(building.tenant_id)
    met: list[UUID] = []
    async with listening(served.client, URL, caller) as events:
        writing = asyncio.gather(*(write(number) for number in range(4)))
        met += ids(await events.take())
        last = events.last_event_id
    chance = random.Random(7)
    while not writing.done() or len(met) < len(told):
        url, sent = (f"{URL}?after={last}", caller) if way == "parameter" else (URL, caller | {"Last-Event-ID": last})
        async with asyncio.timeout(20), listening(served.client, url, sent) as events:
            most = len(told) - len(met) if writing.done() else 1
            met += ids(await events.take(min(chance.randint(1, 9), max(most, 1))))
            last = events.last_event_id
    assert len(met) == len(set(met))
    assert set(met) == told


@pytest.mark.usefixtures("numbered")
async def test_a_client_that_was_told_nothing_yet_goes_on_from_where_it_began(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    caller = headers(building.tenant_id)
    async with listening(served.client, f"{URL}?type=gateway.silent", caller) as events:
        last = await events.place()
    missed = await tell(engine, alert_id, kind="gateway.silent")
    await tell(engine, alert_id, kind="gateway.recovered")
    async with listening(served.client, f"{URL}?type=gateway.silent", caller | {"Last-Event-ID": last}) as events:
        assert ids(await events.take()) == [missed]


@pytest.mark.usefixtures("numbered")
async def test_last_event_id_goes_before_the_parameter_of_the_same_url(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    """An EventSource connects anew to the URL that it was given."""
    caller = headers(building.tenant_id)
    async with listening(served.client, URL, caller) as events:
        told = [await tell(engine, alert_id) for _ in range(3)]
        first, second, _ = await events.take(3)
    async with listening(served.client, f"{URL}?after={first.id}", caller | {"Last-Event-ID": second.id}) as events:
        assert ids(await events.take()) == told[2:]


@pytest.mark.usefixtures("numbered")
async def test_each_filter_leaves_out_what_does_not_meet_it(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BATCH", 2)
    water = await add_meter(engine, building, "71440146", medium="cold_water", unit_of_measure="m3")
    elsewhere = await building_beside(engine, building)
    alerts = {
        "heat": await add_alert(engine, building, installation_id=building.installation_ids[0]),
        "water": await add_alert(engine, building, installation_id=water),
        "gateway": await add_alert(engine, building),
        "there": await add_alert(engine, elsewhere, installation_id=elsewhere.installation_ids[0]),
    }
    kinds = {"gateway": "gateway.silent"}
    expected = {
        "": ["heat", "water", "gateway", "there"],
        "type=gateway.silent&type=gateway.recovered": ["gateway"],
        f"property_id={building.property_id}": ["heat", "water", "gateway"],
        f"property_id={elsewhere.property_id}": ["there"],
        "medium=cold_water": ["water"],
        "medium=heat&type=installation.stale": ["heat", "there"],
    }
    caller = headers(building.tenant_id)
    places = {}
    for query in expected:
        async with listening(served.client, f"{URL}?{query}", caller) as events:
            places[query] = await events.place()
    told = {name: await tell(engine, one, kind=kinds.get(name, "installation.stale")) for name, one in alerts.items()}
    await eventually_numbered(engine)
    for query, names in expected.items():
        async with listening(served.client, f"{URL}?{query}&after={places[query]}", caller) as events:
            assert ids(await events.take(len(names))) == [told[name] for name in names], query


@pytest.mark.usefixtures("numbered")
async def test_tenants_and_narrowed_tokens_are_told_what_is_within_their_reach(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    theirs = await create_building(engine)
    elsewhere = await building_beside(engine, building)
    await change(
        engine,
        "UPDATE meter_installation SET gateway_id = :gateway WHERE id = :id",
        gateway=building.gateway_id,
        id=elsewhere.installation_ids[0],
    )
    of_gateway = await add_alert(engine, building)
    of_their = await add_alert(engine, theirs, installation_id=theirs.installation_ids[0])
    whole, narrowed, stranger = (
        headers(building.tenant_id),
        headers(building.tenant_id, property_ids=[elsewhere.property_id]),
        headers(theirs.tenant_id),
    )
    everything: dict[str, Any] = {"installations": 4, "properties": 2, "addresses": ["Everywhere 1", "Everywhere 2"]}
    async with (
        listening(served.client, URL, whole) as for_whole,
        listening(served.client, URL, narrowed) as for_narrowed,
        listening(served.client, URL, stranger) as for_stranger,
    ):
        told = [await tell(engine, alert_id), await tell(engine, of_gateway, kind="gateway.silent", **everything)]
        of_stranger = await tell(engine, of_their)
        events = await for_whole.take(2)
        assert ids(events) == told
        assert events[1].data["data"] == {"alert_id": str(of_gateway), **everything}
        (event,) = await for_narrowed.take()
        assert ids([event]) == told[1:]
        here = {"installations": 1, "properties": 1, "addresses": ["Testvej 1, 8000 Aarhus"]}
        assert event.data["data"] == {"alert_id": str(of_gateway), **here}
        assert ids(await for_stranger.take()) == [of_stranger]
        place = for_whole.last_event_id
    for other in (stranger, narrowed):
        assert (await served.client.get(f"{URL}?after={place}", headers=other)).status_code == 400


@pytest.mark.parametrize("lock", ["both", "the code's filters alone", "the database's policies alone"])
async def test_either_lock_alone_keeps_a_narrowed_caller_and_a_strangers_tenant_apart(
    *,
    settings: AlertsSettings,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
    lock: str,
) -> None:
    theirs, elsewhere = await create_building(engine), await building_beside(engine, building)
    for other in (theirs, elsewhere):
        await tell(engine, await add_alert(engine, other, installation_id=other.installation_ids[0]))
    mine = await tell(engine, alert_id)
    await number_events(engine)
    if lock == "the code's filters alone":
        for table in ("delivery", "alert", "alert_stream", "meter_installation", "unit", "property", "gateway"):
            await change(engine, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    if lock == "the database's policies alone":
        monkeypatch.setattr(stream, "WITHIN_REACH", "$1::uuid IS NOT NULL AND ($2::uuid[] IS NULL OR true)")
        monkeypatch.setattr(stream, "AHEAD", stream.AHEAD.replace("d.tenant_id = $1", "$1::uuid IS NOT NULL"))
    reach = Reach(building.tenant_id, frozenset({building.property_id, theirs.property_id}))
    callers = callers_database(settings)
    async with callers.open():
        ahead = await events_ahead(callers, Live(reach, StreamFilters()), after=0)
    assert [UUID(one.text.partition('"id": "')[2][:36]) for one in ahead.events] == [mine]


async def test_a_statement_without_a_filter_meets_only_what_is_within_reach(
    settings: AlertsSettings, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    theirs, elsewhere = await create_building(engine), await building_beside(engine, building)
    there = [await add_alert(engine, other, installation_id=other.installation_ids[0]) for other in (theirs, elsewhere)]
    for one in (alert_id, *there):
        await tell(engine, one)
    await number_events(engine)
    await tell(engine, alert_id)  # which has no number yet
    callers = callers_database(settings)

    async def seen(*property_ids: UUID, narrowed: bool = True) -> tuple[int, int]:
        reach = Reach(building.tenant_id, frozenset(property_ids) if narrowed else None)
        async with callers.driver_within(reach) as connection:
            counts = [await connection.fetchval(f"SELECT count(*) FROM {it}") for it in ("delivery", "alert_stream")]
            return counts[0], counts[1]

    async with callers.open():
        assert await seen(narrowed=False) == (2, 1)
        assert await seen(building.property_id, theirs.property_id) == (1, 1)
        assert await seen(theirs.property_id) == await seen() == (0, 1)


@pytest.mark.usefixtures("numbered")
async def test_what_is_no_id_of_the_stream_is_a_400_that_says_where_it_stood(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    caller = headers(building.tenant_id)
    async with listening(served.client, URL, caller) as events:
        await tell(engine, alert_id)
        ((event,),) = [await events.take()]
    for bad in ("no-id", "a" * 5000, *tampered(event.id)):
        answer = await served.client.get(URL, headers=caller | {"Last-Event-ID": bad})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert [(error["location"], error["field"]) for error in answer.json()["errors"]] == [
            ("header", "Last-Event-ID")
        ]
    other_filters = await served.client.get(f"{URL}?type=gateway.silent&after={event.id}", headers=caller)
    assert other_filters.status_code == 400
    assert [(error["location"], error["field"]) for error in other_filters.json()["errors"]] == [("query", "after")]


async def test_an_id_behind_which_something_was_removed_is_a_410_and_one_behind_that_is_good(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    caller = headers(building.tenant_id)
    places = []
    async with listening(served.client, URL, caller) as events:
        for _ in range(3):
            await tell(engine, alert_id)
            await number_events(engine)
            places.append((await events.take())[0].id)
    await change(
        engine,
        "UPDATE delivery SET delivered_at = now() - interval '1 year'"
        " WHERE number < (SELECT max(number) FROM delivery)",
    )
    assert await remove_delivered(engine, kept=timedelta(days=30)) == 2
    gone = await served.client.get(URL, headers=caller | {"Last-Event-ID": places[0]})
    assert (gone.status_code, gone.headers["content-type"]) == (410, "application/problem+json")
    assert "GET /alerts" in gone.json()["detail"]
    for place in places[1:]:
        async with listening(served.client, URL, caller | {"Last-Event-ID": place}):
            pass


async def test_a_tenant_has_so_many_streams_and_the_process_too_and_one_that_is_left_makes_room(
    settings: AlertsSettings, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    few = settings.model_copy(update={"streams": 3, "streams_per_tenant": 2})
    others = await create_building(engine)
    caller, other = headers(building.tenant_id), headers(others.tenant_id)
    async with serving(few) as served:
        client = served.client
        async with listening(client, URL, caller) as first, listening(client, URL, caller):
            refused = await client.get(URL, headers=caller)
            assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
            async with listening(client, URL, other):
                refused = await client.get(URL, headers=other)
                assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
            await first.close()

            async def there_is_room() -> bool:
                async with client.stream("GET", URL, headers=caller) as answer:
                    return answer.status_code == 200

            await eventually(there_is_room)
        await eventually_closed(served)


async def test_a_stream_without_news_has_heartbeats_that_say_from_where_to_go_on(
    *,
    served: Served,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.2)
    async with listening(served.client, f"{URL}?type=gateway.silent", headers(building.tenant_id)) as events:
        for _ in range(3):
            await events.until_comment()
        before = events.last_event_id
        await tell(engine, alert_id, kind="installation.stale")  # which it does not want
        await number_events(engine)
        async with asyncio.timeout(5):
            while events.last_event_id == before:
                await events.until_comment()


async def test_it_ends_when_the_token_expires(served: Served, headers: Headers, building: Building) -> None:
    # Whole seconds: between one and two are left.
    caller = headers(building.tenant_id, lifetime=timedelta(seconds=2))
    async with asyncio.timeout(5), listening(served.client, URL, caller) as events:
        assert await events.rest() == []
    assert (await served.client.get(URL, headers=caller)).status_code == 401


async def test_it_ends_after_some_hours_however_long_the_token_is_good(
    served: Served, headers: Headers, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LONGEST_S", 0.3)
    caller = headers(building.tenant_id, lifetime=timedelta(days=365))
    async with asyncio.timeout(5), listening(served.client, URL, caller) as events:
        assert await events.rest() == []


async def fill(engine: AsyncEngine, alert_id: UUID, *, events: int) -> None:
    """So many events of 100 kB, more than there is room for on the way to a client that does not read."""
    async with engine.begin() as connection:
        for _ in range(events):
            await tell_of(connection, alert_id, address="x" * 100_000)
    await number_events(engine)


async def beginning(
    caller: dict[str, str], client: httpx2.AsyncClient
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a stream is asked for, and read only as far as its first event."""
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
    request = [f"GET {URL} HTTP/1.1", "Host: alerts", *(f"{name}: {value}" for name, value in caller.items()), "", ""]
    writer.write("\r\n".join(request).encode())
    await reader.readuntil(b"retry: ")
    return reader, writer


async def test_a_client_that_takes_nothing_is_given_up_and_makes_room(
    *,
    served: Served,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.http.streams.PATIENCE_S", 0.5)
    reader, writer = await beginning(headers(building.tenant_id), served.client)
    await fill(engine, alert_id, events=300)
    await eventually_closed(served)

    async def the_connection_is_gone() -> bool:
        return len(served.server.server_state.connections) == 1  # the one by which the metrics are read

    await eventually(the_connection_is_gone)
    taken = 0
    with suppress(ConnectionResetError):
        while part := await reader.read(65536):
            taken += len(part)
    assert taken < 30_000_000
    writer.close()


async def test_it_ends_at_once_when_the_service_stops_also_for_a_client_that_takes_nothing(
    settings: AlertsSettings, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    caller = headers(building.tenant_id)
    async with serving(settings) as served, listening(served.client, URL, caller) as events:
        _, writer = await beginning(caller, served.client)
        await fill(engine, alert_id, events=300)
        await events.take(300)
        async with asyncio.timeout(5):  # requests may go on for 20 s
            _, rest = await asyncio.gather(served.stop(), events.rest())
        assert rest == []
        writer.close()


async def test_it_goes_on_when_the_database_is_back_and_has_lost_nothing(
    *,
    settings: AlertsSettings,
    database: Database,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "AGAIN_AFTER_S", 0.1)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.2)
    caller = headers(building.tenant_id)
    async with TcpProxy(database.alerts_url).open() as proxy:
        monkeypatch.setenv("MBUS_ALERTS_DATABASE_URL", proxy.url)
        there = settings.model_copy(update={"database_url": AlertsSettings().database_url})
        async with serving(there) as served, listening(served.client, URL, caller) as events:
            told = [await tell(engine, alert_id)]
            await number_events(engine)
            assert ids(await events.take()) == told
            await proxy.cut()
            missed = [await tell(engine, alert_id) for _ in range(3)]
            await number_events(engine)
            for _ in range(3):
                await events.until_comment()
            refused = await served.client.get(URL, headers=caller)
            assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
            await proxy.restore()
            async with asyncio.timeout(20):
                assert ids(await events.take(3)) == missed


@pytest.mark.parametrize("failure", [TenantBusyError("requests"), NoFreeConnectionError(), DatabaseAwayError()])
async def test_it_waits_for_what_passes_and_tells_it_then(
    *,
    served: Served,
    headers: Headers,
    engine: AsyncEngine,
    building: Building,
    alert_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    monkeypatch.setattr(live, "AGAIN_AFTER_S", 0.05)
    failed = 0

    async def fail(*_: object, **__: object) -> Ahead:
        nonlocal failed
        failed += 1
        raise failure

    async def has_failed_twice() -> bool:
        return failed >= 2

    async with listening(served.client, URL, headers(building.tenant_id)) as events:
        await events.place()
        with monkeypatch.context() as patch:
            patch.setattr(live, "events_ahead", fail)
            told = await tell(engine, alert_id)
            await number_events(engine)
            await eventually(has_failed_twice)
        assert ids(await events.take()) == [told]


async def test_it_ends_where_something_behind_its_place_is_removed_meanwhile(
    served: Served, headers: Headers, engine: AsyncEngine, building: Building, alert_id: UUID
) -> None:
    """Its client is told so when it connects anew."""
    caller = headers(building.tenant_id)
    async with listening(served.client, URL, caller) as events:
        place = await events.place()
        for _ in range(2):
            await tell(engine, alert_id)
        # As where a client was so slow that what it was to be told next became too old.
        async with engine.begin() as connection:
            await connection.execute(NUMBER)
            await connection.execute(text("DELETE FROM delivery WHERE number = (SELECT min(number) FROM delivery)"))
            await connection.execute(text("UPDATE alert_stream SET removed = newest - 1"))
        async with asyncio.timeout(10):
            assert await events.rest() == []
    assert (await served.client.get(f"{URL}?after={place}", headers=caller)).status_code == 410


async def test_a_head_request_is_answered_and_ends(served: Served, headers: Headers, building: Building) -> None:
    answer = await served.client.head(URL, headers=headers(building.tenant_id))
    assert (answer.status_code, answer.content) == (200, b"")
    await eventually_closed(served)


async def test_the_service_as_a_process_tells_what_is_made_and_stops_at_once(
    database: Database, vhost: Vhost, headers: Headers, engine: AsyncEngine, building: Building
) -> None:
    alert_id = await add_alert(engine, building)
    caller = headers(building.tenant_id)
    variables = {
        "MBUS_ALERTS_DATABASE_URL": database.alerts_url,
        "MBUS_ALERTS_BROKER_URL": vhost.alerts_url,
        "MBUS_ALERTS_SETTLE_S": "3600",
        "MBUS_JWT_SECRET": SECRET,
    }
    async with (
        running(variables, "alerts") as (process, url),
        httpx2.AsyncClient(base_url=url, timeout=30) as client,
        listening(client, URL, caller) as events,
    ):
        _, writer = await beginning(caller, client)
        told = [await tell(engine, alert_id, kind="gateway.silent", address="x" * 100_000) for _ in range(200)]
        assert ids(await events.take(200)) == told
        process.terminate()
        async with asyncio.timeout(8):  # requests may go on for 20 s
            assert await events.rest() == []
            assert await process.wait() == 0
        writer.close()
