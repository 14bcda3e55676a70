"""The servers of the bench: ours with its tokens, and those beside it; and the client that drives them."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from benchmarks.database import BenchDatabase
from benchmarks.errors import BenchError
from benchmarks.program import Program, free_port, running_program
from benchmarks.query.anchor import DATABASE_URL, PORT
from benchmarks.query.client import Call, Job, Load
from shared.clock import utc_now
from shared.http.tokens import issue_token

LIFETIME = timedelta(hours=2)


@dataclass(frozen=True)
class Server:
    """A running server on this machine."""

    name: str
    port: int


@dataclass(frozen=True)
class OurServer(Server):
    """The real service, what signs the tokens that it takes, and its process."""

    secret: str
    program: Program

    def token(self, tenant_id: UUID) -> str:
        """A token for a tenant."""
        return issue_token(
            secret=self.secret,
            audience="mbus",
            issuer=None,
            subject="bench",
            tenant_id=tenant_id,
            scopes=["readings:read"],
            now=utc_now(),
            lifetime=LIFETIME,
        )


@asynccontextmanager
async def our_server(database: BenchDatabase) -> AsyncIterator[OurServer]:
    """The query service with its own defaults, but no limit of the rate."""
    port, secret = free_port(), secrets.token_urlsafe(32)
    variables = {
        "MBUS_QUERY_DATABASE_URL": database.logins["query"].database_url,
        "MBUS_QUERY_HOST": "127.0.0.1",
        "MBUS_QUERY_PORT": str(port),
        "MBUS_QUERY_RATE_LIMIT_PER_S": "0",
        "MBUS_JWT_SECRET": secret,
    }
    async with running_program("services.query", port=port, variables=variables, ready_at="/readyz") as program:
        yield OurServer("query", port, secret, program)


@asynccontextmanager
async def anchor(name: str, database: BenchDatabase) -> AsyncIterator[Server]:
    """A server of `benchmarks.query`; it reads as the owner of the tables."""
    port = free_port()
    variables = {DATABASE_URL: database.owner_url, PORT: str(port)}
    async with running_program(f"benchmarks.query.{name}", port=port, variables=variables, ready_at="/docs"):
        yield Server(name, port)


async def drive(server: Server, calls: Sequence[Call], *, connections: int, seconds: float) -> Load:
    """Send `calls` to `server` for a time, from a process of the client's own; `BenchError` when one is not a 200."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.query.client",
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    job = msgspec.json.encode(Job(server.port, list(calls), connections, seconds))
    out, complaint = await process.communicate(job)
    if process.returncode != 0:
        raise BenchError(f"the client ended: {complaint.decode().strip().splitlines()[-1:]}")
    load = msgspec.json.decode(out, type=Load)
    if load.failure is not None:
        raise BenchError(f"{server.name} answered: {load.failure}")
    return load
