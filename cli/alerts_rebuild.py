"""`mbus alerts rebuild`: makes the status of installations from their readings anew."""

import asyncio
from typing import Annotated

import typer

from cli.progress import bar
from cli.settings import DatabaseSettings
from services.alerts.operations.rebuild import count, rebuild
from shared.counted import counted
from shared.database import open_engine
from shared.registry.tenants import find_tenant
from shared.settings import load


def rebuild_command(
    tenant: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Only this tenant's; without it, every tenant's.")
    ] = None,
) -> None:
    """Make the status of installations (last reading, state, when it is due) from the stored readings anew.

    For a status that may be wrong: after the events of a time were lost, or a backup of some tables was restored. Needs
    MBUS_DATABASE_URL, as the owner. Services may run meanwhile; it can be ended and begun again. It calls no meter
    silent: alerts judges, when it may, what is due. One that is stale and was heard recovers, with its event.
    """
    url = load(DatabaseSettings).database_url.get_secret_value()
    looked_at, changed = asyncio.run(_rebuild(url, tenant))
    print(f"{counted(looked_at, 'installation')} looked at, the status of {changed} was another.")


async def _rebuild(url: str, tenant: str | None) -> tuple[int, int]:
    looked_at = changed = 0
    async with open_engine(url, application_name="mbus-cli") as engine:
        tenant_id = None
        if tenant is not None:
            async with engine.connect() as connection:
                tenant_id = await find_tenant(connection, tenant)
        with bar("Installations", await count(engine, tenant_id)) as advance:
            async for batch in rebuild(engine, tenant_id):
                looked_at, changed = looked_at + batch.looked_at, changed + batch.changed
                advance(batch.looked_at)
    return looked_at, changed
