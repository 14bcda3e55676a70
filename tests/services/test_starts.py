"""What a service cannot start with is one line that names the variable, and exit code 2."""

import asyncio
import os
import sys

import pytest

from tests.support.databases import Database
from tests.support.tokens import SECRET
from tests.support.vhosts import Vhost


async def start(service: str, variables: dict[str, str]) -> tuple[int | None, str]:
    """Run the service until it ends; its exit code and what it said on stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"services.{service}"),
        env=environment | variables,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, errors.decode()


@pytest.mark.parametrize("service", ["ingest", "alerts"])
async def test_missing_and_bad_settings_are_named_without_their_values(service: str) -> None:
    prefix = f"MBUS_{service.upper()}"
    variables = {f"{prefix}_BROKER_URL": "http://secret@127.0.0.1", f"{prefix}_PREFETCH": "0"}
    code, errors = await start(service, variables)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"{prefix}_DATABASE_URL: is not set" in errors
    assert f"{prefix}_BROKER_URL: must be a URL that starts with amqp://" in errors
    assert f"{prefix}_PREFETCH:" in errors
    assert "secret" not in errors


@pytest.mark.parametrize("service", ["ingest", "alerts"])
async def test_the_owners_login_is_refused(service: str, database: Database, vhost: Vhost) -> None:
    prefix = f"MBUS_{service.upper()}"
    variables = {
        f"{prefix}_DATABASE_URL": database.owner_url,
        f"{prefix}_BROKER_URL": vhost.ingest_url,
        f"{prefix}_PORT": "0",
        "MBUS_JWT_SECRET": SECRET,
    }
    code, errors = await start(service, variables)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"a service needs a login that is mbus_{service} alone" in errors
