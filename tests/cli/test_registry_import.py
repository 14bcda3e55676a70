"""`mbus registry import`, as a person runs it."""

import re
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.demo import import_demo
from shared.clock import utc_now
from shared.models import MeterInstallation
from tests.cli.commands import mbus, variables_of
from tests.support.databases import Database

DOCUMENTATION = Path(__file__).parents[2] / "docs/registry.md"

GOOD = """\
tenant;property;address;unit;gateway_id;meter_serial;medium;unit_of_measure;installed_at
acme;Nørregade 1;Nørregade 1, 8000 Aarhus C;st. tv;GW-1;00440145;heat;kWh;2024-01-01
acme;Nørregade 1;Nørregade 1, 8000 Aarhus C;1. tv;;2124589c;cold_water;m3;2024-01-01T12:00:00+01:00
"""


async def installations(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(MeterInstallation)) or 0


async def test_a_file_is_imported_and_a_second_time_it_says_that_nothing_changed(
    database: Database, engine: AsyncEngine, tmp_path: Path
) -> None:
    file = tmp_path / "meters.csv"
    file.write_text(GOOD, encoding="utf-8-sig")
    first = await mbus("registry", "import", str(file), variables=variables_of(database))
    assert (first.code, first.errors) == (0, "")
    assert [line.split() for line in first.out.splitlines()] == [
        ["created", "updated", "unchanged"],
        ["tenants", "1", "0", "0"],
        ["properties", "1", "0", "0"],
        ["units", "2", "0", "0"],
        ["gateways", "1", "0", "0"],
        ["installations", "2", "0", "0"],
    ]
    second = await mbus("registry", "import", str(file), variables=variables_of(database))
    assert second.code == 0
    assert second.out.splitlines()[-2:] == [
        second.out.splitlines()[-2],
        "Everything is registered as the file says; nothing changed.",
    ]
    assert await installations(engine) == 2


async def test_bad_lines_are_told_one_a_line_and_nothing_is_imported(database: Database, engine: AsyncEngine) -> None:
    bad = GOOD.replace("heat;kWh", "heat;m3").replace("cold_water", "steam").replace("1. tv;;", "1. tv;GW 2;")
    ended = await mbus("registry", "import", "-", stdin=bad.encode(), variables=variables_of(database))
    assert (ended.code, ended.out) == (1, "")
    assert ended.errors.splitlines() == [
        "line 2: unit_of_measure: 'm3': does not fit heat, which has kWh, Wh, MWh, GJ",
        (
            "line 3: medium: 'steam': is unknown; known are heat, cooling, cold_water, warm_water, water, electricity,"
            " gas, heat_cost_allocator"
        ),
        "line 3: gateway_id: 'GW 2': must be 1-64 letters, digits, hyphens and underscores",
        "mbus: nothing imported, 3 problems",
    ]
    assert await installations(engine) == 0


async def test_the_example_of_the_documentation_is_imported_as_it_shows_beside_the_demo_tenant(
    database: Database, engine: AsyncEngine
) -> None:
    await import_demo(engine, clock=utc_now)
    before = await installations(engine)
    chapter = DOCUMENTATION.read_text("utf-8").partition("## The file")[2]
    example, shown, *_ = re.findall(r"^```\w*\n(.*?)^```", chapter, flags=re.MULTILINE | re.DOTALL)
    ended = await mbus("registry", "import", "-", stdin=example.encode(), variables=variables_of(database))
    assert (ended.code, ended.errors) == (0, "")
    assert [line.rstrip() for line in ended.out.splitlines()] == shown.splitlines()
    assert await installations(engine) == before + 3


async def test_a_dry_run_changes_nothing_and_says_so(database: Database, engine: AsyncEngine) -> None:
    ended = await mbus("registry", "import", "-", "--dry-run", stdin=GOOD.encode(), variables=variables_of(database))
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "This is what an import would do; nothing changed."
    assert await installations(engine) == 0


async def test_a_json_list_is_imported(database: Database, engine: AsyncEngine) -> None:
    item = (
        '{"tenant": "acme", "property": "P", "address": "A", "unit": "1", "meter_serial": "1", "medium": "heat",'
        ' "unit_of_measure": "kWh", "installed_at": "2024-01-01", "gateway_id": null}'
    )
    ended = await mbus("registry", "import", "-", stdin=f"[{item}]".encode(), variables=variables_of(database))
    assert ended.code == 0
    assert await installations(engine) == 1


async def test_a_file_that_is_not_there_is_one_line(database: Database) -> None:
    ended = await mbus("registry", "import", "/nowhere.csv", variables=variables_of(database))
    assert (ended.code, ended.errors) == (1, "mbus: /nowhere.csv cannot be read: No such file or directory\n")


async def test_a_database_that_cannot_be_reached_is_one_line() -> None:
    url = "postgresql://nobody:nothing@127.0.0.1:1/none"
    ended = await mbus("registry", "import", "-", stdin=GOOD.encode(), variables={"MBUS_DATABASE_URL": url})
    assert ended.code == 1
    assert ended.errors.startswith("mbus: a server cannot be reached: ")
    assert ended.errors.count("\n") == 1
    assert "nothing" not in ended.errors


@pytest.mark.parametrize("arguments", [(), ("import",), ("import", "a.csv", "b.csv"), ("export",)])
async def test_a_command_used_wrongly_ends_with_code_2(arguments: tuple[str, ...]) -> None:
    assert (await mbus("registry", *arguments, variables={})).code == 2
