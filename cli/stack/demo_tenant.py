"""The demo tenant in a running stack: its registry, a token for it, and the simulator of its gateways."""

import asyncio
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from cli.demo import SIMULATE, TENANT, import_demo
from cli.stack.processes import BackgroundProcess, start
from cli.stack.services import inherited_environment
from cli.stack.strays import MARK
from shared.clock import utc_now
from shared.database import open_engine
from shared.http.tokens import SCOPES, issue_token
from shared.models import Tenant

TOKEN_LIFETIME = timedelta(days=365)


def register_demo(database_url: str) -> UUID:
    """Register the demo tenant's meters, if they are not yet, and return the tenant's id."""

    async def run() -> UUID:
        async with open_engine(database_url, application_name="mbus-up") as engine:
            await import_demo(engine, clock=utc_now)
            async with engine.connect() as connection:
                return (await connection.execute(select(Tenant.id).where(Tenant.slug == TENANT))).scalar_one()

    return asyncio.run(run())


def demo_token(tenant_id: UUID, variables: Mapping[str, str]) -> str:
    """A token that may do everything that the demo tenant's users may."""
    return issue_token(
        secret=variables["MBUS_JWT_SECRET"],
        audience=variables["MBUS_JWT_AUDIENCE"],
        issuer=None,
        subject="demo",
        tenant_id=tenant_id,
        scopes=SCOPES,
        now=utc_now(),
        lifetime=TOKEN_LIFETIME,
    )


def start_simulator(variables: Mapping[str, str], *, root: Path, data: Path, log: Path) -> BackgroundProcess:
    """Start the demo's gateways: a week's history, which may be there already, and then the present."""
    servers = {name: variables[name] for name in ("MBUS_DATABASE_URL", "MBUS_BROKER_URL")}
    return start(
        [sys.executable, "-m", "cli", *SIMULATE],
        log=log,
        env=inherited_environment() | servers | {MARK: str(data)},
        folder=root,
    )
