"""The plans of what a service asks the database, with how much it read."""

import json
from collections.abc import Iterator
from typing import Any


class Explained:
    """A connection that keeps the plans of what it fetches."""

    def __init__(self, connection: Any, plans: list[dict[str, Any]]) -> None:
        self._connection = connection
        self._plans = plans

    async def fetch(self, statement: str, *arguments: object) -> Any:
        explained = await self._connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
        self._plans.append(json.loads(explained)[0]["Plan"])
        return await self._connection.fetch(statement, *arguments)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a plan that ran."""
    if plan["Actual Loops"]:
        yield plan
        for part in plan.get("Plans", []):
            yield from nodes(part)


def rows_looked_at(node: dict[str, Any]) -> int:
    """By a part of a plan that reads a table."""
    rows: float = node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return round(rows)
