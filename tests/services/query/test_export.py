"""`GET /readings/export`: what is in the file, and in which order."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries import export
from services.query.queries.export_forms import COLUMNS
from shared.http.times import format_time
from tests.services.query.data import add_readings
from tests.support.registry import Building, add_meter, create_building
from tests.support.tokens import Headers

START = datetime(2026, 11, 1, 5, tzinfo=UTC)
Row = dict[str, Any]


def hours(*numbers: float) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


def rows_of(answer: httpx2.Response) -> list[Row]:
    """What an export of either format has, as text."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/x-ndjson"):
        return [json.loads(line) for line in answer.text.splitlines()]
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def keys(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row["meter_serial"], row["timestamp"]) for row in rows]


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    """Three meters with five readings each."""
    building = await create_building(engine)
    for installation_id in building.installation_ids:
        await add_readings(engine, installation_id, hours(0, 1, 2, 3, 4))
    return building


async def test_a_csv_file_has_a_byte_order_mark_a_header_and_a_line_for_each_reading(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=1)
    (installation_id,) = building.installation_ids
    await add_readings(engine, installation_id, hours(0))
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO reading VALUES (:id, :at, -0.001, :received, NULL, NULL)"),
            {"id": installation_id, "at": START + timedelta(microseconds=1), "received": START + timedelta(seconds=12)},
        )
    answer = await client.get("/readings/export", headers=headers(building.tenant_id))
    begin = f'{installation_id},"70000000",heat,kWh,"{building.property_name}","1. tv"'
    assert answer.content.decode() == (
        f"\ufeff{','.join(COLUMNS)}\r\n"
        f"{begin},2026-11-01T05:00:00Z,0,-70,96,2026-11-01T05:00:00Z\r\n"
        f"{begin},2026-11-01T05:00:00.000001Z,-0.001,,,2026-11-01T05:00:12Z\r\n"
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="readings.csv"'
    answer = await client.get("/readings/export?decimal=comma", headers=headers(building.tenant_id))
    assert answer.content.decode() == (
        f"\ufeff{';'.join(COLUMNS)}\r\n"
        f"{begin.replace(',', ';')};2026-11-01T05:00:00Z;0;-70;96;2026-11-01T05:00:00Z\r\n"
        f"{begin.replace(',', ';')};2026-11-01T05:00:00.000001Z;-0,001;;;2026-11-01T05:00:12Z\r\n"
    )


async def test_ndjson_has_the_same_as_an_object_a_line(
    client: httpx2.AsyncClient, building: Building, headers: Headers
) -> None:
    as_csv = await client.get("/readings/export", headers=headers(building.tenant_id))
    answer = await client.get("/readings/export?format=ndjson", headers=headers(building.tenant_id))
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="readings.ndjson"'
    assert [list(row) for row in rows_of(answer)] == [list(COLUMNS)] * 15
    assert [{name: str(value) for name, value in row.items()} for row in rows_of(answer)] == rows_of(as_csv)
    listed = await client.get(
        f"/readings?order=asc&property_id={building.property_id}", headers=headers(building.tenant_id)
    )
    fields = list(listed.json()["items"][0])
    of_page = sorted(listed.json()["items"], key=lambda item: (item["meter_installation_id"], item["timestamp"]))
    of_file = [{name: row[name] for name in fields} for row in rows_of(answer)]
    assert sorted(of_file, key=lambda row: (row["meter_installation_id"], row["timestamp"])) == of_page


async def test_however_it_is_cut_into_pieces_every_reading_is_met_once_in_order(
    client: httpx2.AsyncClient,
    engine: AsyncEngine,
    building: Building,
    headers: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add_meter(engine, building, "70000000b")  # without readings, between two with
    caller, serials = headers(building.tenant_id), ("70000000", "70000001", "70000002")
    period = f"after={format_time(hours(0)[0])}&before={format_time(hours(3)[0])}"
    for rows, installations in product((1, 2, 4, 5, 7, 15, 16), (1, 2, 100)):
        monkeypatch.setattr(export, "PIECE_ROWS", rows)
        monkeypatch.setattr(export, "PIECE_INSTALLATIONS", installations)
        for query, times in (("", hours(0, 1, 2, 3, 4)), (period, hours(1, 2))):
            answer = await client.get(f"/readings/export?{query}", headers=caller)
            expected = [(serial, format_time(time)) for serial in serials for time in times]
            assert keys(rows_of(answer)) == expected, (rows, installations, query)


async def test_without_readings_a_csv_file_has_its_header_and_ndjson_nothing(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine)
    for query in ("", f"?unit_id={building.unit_id}", f"?property_id={uuid4()}", "?medium=gas"):
        answer = await client.get(f"/readings/export{query}", headers=headers(building.tenant_id))
        assert answer.content.decode() == f"\ufeff{','.join(COLUMNS)}\r\n"
    answer = await client.get("/readings/export?format=ndjson", headers=headers(building.tenant_id))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_one_installation_that_is_not_there_is_a_404(
    client: httpx2.AsyncClient, engine: AsyncEngine, building: Building, headers: Headers
) -> None:
    foreign = await create_building(engine)
    await add_readings(engine, foreign.installation_ids[0], hours(0))
    for installation_id in (uuid4(), foreign.installation_ids[0]):
        url = f"/readings/export?installation_id={installation_id}"
        answer = await client.get(url, headers=headers(building.tenant_id))
        assert (answer.status_code, answer.json()["detail"]) == (404, "No such installation.")
        answer = await client.get(f"{url}&installation_id={uuid4()}", headers=headers(building.tenant_id))
        assert rows_of(answer) == []


async def test_a_decimal_comma_is_refused_in_json(
    client_without_database: httpx2.AsyncClient, headers: Headers
) -> None:
    answer = await client_without_database.get("/readings/export?format=ndjson&decimal=comma", headers=headers(uuid4()))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["decimal"]


async def test_many_meters_are_exported_month_by_month_and_nothing_is_lost_at_the_edges(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = await create_building(engine, meters=4)
    december = datetime(2025, 12, 1, tzinfo=UTC)
    moment = timedelta.resolution
    early, usual, late, _silent = building.installation_ids
    times = {
        early: [december - timedelta(days=400), december - moment, december, december + timedelta(days=40)],
        usual: [december - moment, december, december + moment, december + timedelta(days=31)],
        late: [december, datetime(2100, 1, 1, tzinfo=UTC)],
    }
    for installation_id, at in times.items():
        await add_readings(engine, installation_id, at)
    serials = {str(installation_id): serial for serial, installation_id in building.meters.items()}
    timed = [(serials[str(one)], time) for one, at in times.items() for time in at]
    everything = [(serial, format_time(time)) for serial, time in timed]
    caller = headers(building.tenant_id)
    assert keys(rows_of(await client.get("/readings/export", headers=caller))) == everything
    monkeypatch.setattr(export, "FEW_INSTALLATIONS", 3)
    for rows in (1, 2, 3, 100):
        monkeypatch.setattr(export, "PIECE_ROWS", rows)
        by_month = keys(rows_of(await client.get("/readings/export", headers=caller)))
        assert by_month == sorted(everything, key=lambda key: (key[1][: len("2025-12")], key[0]))
        assert by_month != everything
        for after, before in (
            (december - moment, december + moment),
            (december, None),
            (None, december),
            (december, december + moment),
            (datetime(2099, 1, 1, tzinfo=UTC), None),
        ):
            bounds = {"after": after, "before": before}
            query = "&".join(f"{name}={format_time(time)}" for name, time in bounds.items() if time is not None)
            met = keys(rows_of(await client.get(f"/readings/export?{query}", headers=caller)))
            assert sorted(met) == sorted(
                (serial, format_time(time))
                for serial, time in timed
                if (after is None or time > after) and (before is None or time < before)
            ), query


async def test_a_narrowed_caller_has_what_is_in_its_properties_and_nothing_else(
    client: httpx2.AsyncClient, engine: AsyncEngine, building: Building, headers: Headers
) -> None:
    next_door = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_readings(engine, await add_meter(engine, next_door, "80000000"), hours(0))

    async def serials(*, property_ids: list[UUID], query: str = "") -> set[str]:
        caller = headers(building.tenant_id, property_ids=property_ids)
        rows = rows_of(await client.get(f"/readings/export?{query}", headers=caller))
        return {row["meter_serial"] for row in rows}

    ours = set(building.meters)
    assert await serials(property_ids=[building.property_id]) == ours
    assert await serials(property_ids=[building.property_id], query="medium=heat") == ours
    assert await serials(property_ids=[building.property_id], query=f"unit_id={next_door.unit_id}") == set()
    assert await serials(property_ids=[next_door.property_id]) == set(next_door.meters)
    assert await serials(property_ids=[]) == set()


async def test_meters_that_were_taken_out_are_in_it_under_the_names_that_are_registered_now(
    client: httpx2.AsyncClient, engine: AsyncEngine, building: Building, headers: Headers
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE meter_installation SET deleted_at = '2026-12-01Z'"))
        await connection.execute(text("UPDATE unit SET deleted_at = '2026-12-01Z', label = 'Kælder 2'"))
        await connection.execute(text("UPDATE property SET name = '\"Søhuset\", 1'"))
    rows = rows_of(await client.get("/readings/export", headers=headers(building.tenant_id)))
    assert len(rows) == 15
    assert {(row["property_name"], row["unit_label"]) for row in rows} == {('"Søhuset", 1', "Kælder 2")}
