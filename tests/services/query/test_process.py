"""The service as a process: it serves over real HTTP, stops cleanly, and says in one line why it will not start."""

import asyncio
import json
import signal
import socket
from datetime import UTC, datetime
from uuid import uuid4

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings
from tests.shared.http.issuer import EC, public_jwk, signed_by
from tests.support.databases import Database
from tests.support.processes import running, start
from tests.support.registry import create_building
from tests.support.tokens import SECRET, Headers


async def test_it_serves_over_http_and_ends_cleanly_when_told_to(
    database: Database, engine: AsyncEngine, headers: Headers
) -> None:
    building = await create_building(engine)
    (installation, *_) = building.installation_ids
    await add_readings(engine, installation, [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in range(3)])
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (process, url), httpx2.AsyncClient(base_url=url) as client:
        assert (await client.get("/readyz")).json() == {"status": "ok", "checks": {"database": "ok"}, "details": {}}
        caller = headers(building.tenant_id)
        page = (await client.get(f"/readings?installation_id={installation}&limit=2", headers=caller)).json()
        assert [item["value"] for item in page["items"]] == [2.0, 1.0]
        rest = f"/readings?installation_id={installation}&before={page['next_cursor']}"
        assert [item["value"] for item in (await client.get(rest, headers=caller)).json()["items"]] == [0.0]
        for query in ("installation_id=%00", "installation_id=%ED%A0%80", f"installation_id={installation}&limit=%00"):
            assert (await client.get(f"/readings?{query}", headers=caller)).status_code == 422
        assert (await client.get("/readings?installation_id=%00")).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0


async def test_a_database_that_is_away_does_not_keep_it_from_starting_and_stopping() -> None:
    variables = {"MBUS_QUERY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (process, url), httpx2.AsyncClient(base_url=url) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_what_it_cannot_start_with_is_one_line_that_names_it(database: Database) -> None:
    good = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET, "MBUS_QUERY_PORT": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = {
            "MBUS_QUERY_DATABASE_URL: is not set": {"MBUS_QUERY_DATABASE_URL": ""},
            "MBUS_QUERY_DATABASE_URL: must be a URL": {"MBUS_QUERY_DATABASE_URL": "postgresql://a:secret/x@host/db"},
            "MBUS_JWT_SECRET: must be at least 32 bytes": {"MBUS_JWT_SECRET": "too short a secret"},
            "MBUS_JWT_SECRET or MBUS_JWT_JWKS_URL: one of them": {"MBUS_JWT_SECRET": ""},
            "MBUS_QUERY_PORT: ": {"MBUS_QUERY_PORT": "http"},
            "MBUS_LOG_LEVEL: ": {"MBUS_LOG_LEVEL": "LOUD"},
            f"port {port}: Address already in use": {"MBUS_QUERY_PORT": port},
            "is a superuser": {"MBUS_QUERY_DATABASE_URL": database.owner_url},
        }
        for reason, bad in cases.items():
            process = await start(good | bad)
            assert process.stderr is not None
            _, complaint = await process.communicate()
            assert process.returncode == 2
            assert complaint.decode().count("\n") == 1
            assert complaint.decode().startswith("mbus-query: ")
            assert reason in complaint.decode()
            assert "secret" not in complaint.decode()


async def test_it_takes_tokens_of_an_issuer_that_publishes_its_keys(database: Database) -> None:
    claims = {"sub": "a", "aud": "mbus", "tenant_id": str(uuid4()), "scope": "readings:read", "exp": 4102444800}
    caller = {"Authorization": f"Bearer {signed_by(EC, claims, {'kid': '1'})}"}

    async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"keys": [public_jwk(EC, "1")]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(publish, "127.0.0.1", 0) as issuer:
        port = issuer.sockets[0].getsockname()[1]
        variables = {
            "MBUS_QUERY_DATABASE_URL": database.query_url,
            "MBUS_JWT_JWKS_URL": f"http://127.0.0.1:{port}/keys",
        }
        async with running(variables) as (_, url), httpx2.AsyncClient(base_url=url) as client:
            assert (await client.get("/installations", headers=caller)).status_code == 200
            assert (await client.get("/readyz")).json()["checks"] == {"database": "ok", "token_keys": "ok"}
