"""`GET /readings/export`: what is in the file, and in which order."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

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
