"""The two locks of isolation, and how to take one away: what the functions of the database find must stay the same."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

FILTERS = {
    "i.tenant_id = of_tenant": "true",
    "c.tenant_id = of_tenant": "true",
    "of_properties IS NULL OR": "true OR",
    "OR of_properties IS NOT NULL": "",
}
"""The first of the two locks, where it stands in the functions, and what takes it away."""


async def take_filters_away(engine: AsyncEngine) -> None:
    """Leave the functions to row-level security alone."""
    taken: set[str] = set()
    async with engine.begin() as connection:
        owned = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proowner = 'mbus_reader'::regrole"
        for definition in (await connection.scalars(text(owned))).all():
            for written, nothing in FILTERS.items():
                if written in definition:
                    taken.add(written)
                    definition = definition.replace(written, nothing)  # noqa: PLW2901 - one after the other
            await connection.exec_driver_sql(definition)
    assert taken == set(FILTERS)


async def take_policies_away(engine: AsyncEngine) -> None:
    """Leave the functions to their filters alone."""
    async with engine.begin() as connection:
        for table in ("meter_installation", "unit", "property", "change_batch"):
            await connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
