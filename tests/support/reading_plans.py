"""The plans of statements on `reading` as they run inside the functions of the database, on either kind of table."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

MAKE_PLAIN = """
    ALTER TABLE reading RENAME TO hypertable;
    CREATE TABLE reading (LIKE hypertable INCLUDING ALL);
    GRANT SELECT ON reading TO mbus_reader
"""
EXPLAIN_WHAT_RUNS_INSIDE = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_analyze = on;
    SET auto_explain.log_format = json;
    SET client_min_messages = log
"""
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Node = dict[str, Any]


@asynccontextmanager
async def explaining(owner_url: str, fill: str, *, plain: bool) -> AsyncIterator[Connection]:
    """A connection that is told the plans of all statements, after `fill`; `reading` is made `plain` before that."""
    connection = await asyncpg.connect(owner_url)
    try:
        if plain:
            await connection.execute(MAKE_PLAIN)
        await connection.execute(fill)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(EXPLAIN_WHAT_RUNS_INSIDE)
        yield connection
    finally:
        await connection.close()


async def run_and_explain(
    connection: Connection, call: str, *arguments: object
) -> tuple[list[asyncpg.Record], list[Node]]:
    """The rows of the second run of `call` on this connection, and what ran on `reading`."""
    plans: list[Node] = []

    def remember(_: object, message: Any) -> None:
        if message.message.startswith("duration:"):
            plans.append(json.loads(message.message.partition("plan:")[2]))

    await connection.fetch(call, *arguments)
    connection.add_log_listener(remember)
    rows = await connection.fetch(call, *arguments)
    connection.remove_log_listener(remember)
    return rows, [
        node for plan in plans if "public.reading r" in plan["Query Text"] for node in all_nodes(plan["Plan"])
    ]


def scans_among(nodes: list[Node]) -> list[Node]:
    """Those that read `reading` or a chunk of it. TimescaleDB's own node names the hypertable; the scans are below."""
    of_readings = [node for node in nodes if node.get("Relation Name", "").startswith(("reading", "_hyper"))]
    return [node for node in of_readings if node["Node Type"] != "Custom Scan"]


def sorts_among(nodes: list[Node]) -> list[Node]:
    """Those that sort."""
    return [node for node in nodes if "Sort" in node["Node Type"]]


def all_nodes(node: Node) -> Iterator[Node]:
    """The node and those below it."""
    yield node
    for part in node.get("Plans", ()):
        yield from all_nodes(part)


def rows_of(nodes: list[Node]) -> float:
    """How many rows came out of them together."""
    return sum(float(node["Actual Rows"]) * int(node["Actual Loops"]) for node in nodes)


def assert_along_the_primary_key(scans: list[Node], *, alone: bool = False) -> None:
    """Also what is planned and not run; the index `alone` is read, and not the table."""
    assert scans
    for scan in scans:
        assert scan["Node Type"] == ("Index Only Scan" if alone else "Index Scan")
        assert scan["Index Name"].endswith(("pk_reading", "reading_pkey"))
        for column in ("meter_installation_id = ", '"timestamp" >', '"timestamp" <'):
            assert column in scan["Index Cond"]
