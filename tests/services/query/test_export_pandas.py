"""A CSV export, as pandas reads it."""

import io
from datetime import UTC, datetime, timedelta

import httpx2
import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries.export_forms import COLUMNS
from tests.services.query.data import add_readings
from tests.support.registry import add_meter, create_building
from tests.support.tokens import Headers

START = datetime(2026, 11, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "options"), [("", {}), ("?decimal=comma", {"sep": ";", "decimal": ","})], ids=["point", "comma"]
)
async def test_pandas_reads_each_column_as_what_it_is(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, query: str, options: dict[str, str]
) -> None:
    building = await create_building(engine, meters=0)
    installation_id = await add_meter(engine, building, "00012345")
    await add_readings(engine, installation_id, [START + timedelta(hours=hours) for hours in range(3)])
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE reading SET value = value / 4, rssi_dbm = NULL, received_at = timestamp + interval '1.25 s'")
        )
    answer = await client.get(f"/readings/export{query}", headers=headers(building.tenant_id))
    readings = pd.read_csv(
        io.BytesIO(answer.content),
        dtype={"meter_serial": "string"},
        parse_dates=["timestamp", "received_at"],
        **options,
    )
    assert list(readings.columns) == list(COLUMNS)
    assert list(readings["meter_serial"]) == ["00012345"] * 3
    assert list(readings["value"]) == [0.0, 0.25, 0.5]
    assert list(readings["timestamp"]) == [START + timedelta(hours=hours) for hours in range(3)]
    assert readings["received_at"][0] == START + timedelta(seconds=1.25)
    assert str(readings["timestamp"].dt.tz) == str(readings["received_at"].dt.tz) == "UTC"
    kinds = {name: readings[name].dtype.kind for name in ("value", "timestamp", "received_at", "battery_level_pct")}
    assert kinds == {"value": "f", "timestamp": "M", "received_at": "M", "battery_level_pct": "i"}
    assert readings["rssi_dbm"].isna().all()
