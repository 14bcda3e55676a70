"""Runs `mbus` as a person does."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from cli.main import main
from tests.support.databases import Database
from tests.support.vhosts import Vhost


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it printed."""

    code: int
    out: str
    errors: str


async def mbus(*arguments: str, variables: Mapping[str, str], stdin: bytes = b"") -> Finished:
    """Run `mbus` in this process with `arguments` and the variables given, to its end."""
    return await asyncio.to_thread(_run, arguments, variables, stdin)


def _run(arguments: tuple[str, ...], variables: Mapping[str, str], stdin: bytes) -> Finished:
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, _environment(variables), clear=True),
        mock.patch.object(sys, "argv", ["mbus", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        else:
            code = 0
    return Finished(code, out.getvalue(), errors.getvalue())


@asynccontextmanager
async def running_mbus(*arguments: str, variables: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """`mbus` as a program of its own, running; killed at the end of the block if it still does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", *arguments),
        env=_environment(variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with no variables of the project but those given: not a running stack's either."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
    return {**bare, "COLUMNS": "200", "MBUS_ENV_FILE": os.devnull, **variables}


def variables_of(database: Database, vhost: Vhost | None = None) -> dict[str, str]:
    """What `mbus` must be told of a test's servers."""
    variables = {"MBUS_DATABASE_URL": database.owner_url}
    if vhost is not None:
        variables |= {"MBUS_BROKER_URL": vhost.url, "MBUS_BROKER_MANAGEMENT_URL": vhost.management_url}
    return variables
