"""The query service as a process of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


async def start(variables: Mapping[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.query",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def running(variables: Mapping[str, str]) -> AsyncIterator[tuple[Process, str]]:
    """The process and its URL, from the moment at which it listens; nobody can ask it too much."""
    process = await start({"MBUS_QUERY_PORT": "0", "MBUS_QUERY_RATE_LIMIT_PER_S": "0", **variables})
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
