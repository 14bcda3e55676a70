"""A service with an HTTP API as a process of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


async def start(variables: Mapping[str, str], service: str = "query") -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{service}",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def running(variables: Mapping[str, str], service: str = "query") -> AsyncIterator[tuple[Process, str]]:
    """The process and its URL, from the moment at which it listens; nobody can ask it too much."""
    prefix = f"MBUS_{service.upper()}"
    process = await start({f"{prefix}_PORT": "0", f"{prefix}_RATE_LIMIT_PER_S": "0", **variables}, service)
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "http.listening":
                yield process, f"http://{event['host']}:{event['port']}"
                break
        else:
            pytest.fail("it never listened")
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
