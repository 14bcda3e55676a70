"""How the stack does: its programs, its queues, its readings."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aio_pika
from sqlalchemy import text

from cli.errors import one_line
from cli.stack import compose
from cli.stack.checkout import Checkout
from cli.stack.env_file import read_env_file
from cli.stack.programs import ENDINGS
from cli.stack.services import SERVICES, is_ready
from cli.stack.state import State, load_state
from shared import topology
from shared.database import open_engine

TIMEOUT_S = 15

STORED = {
    "readings": "SELECT count(*) FROM reading",
    "quarantined readings": "SELECT count(*) FROM quarantined_reading WHERE replayed_at IS NULL",
    "meter installations": "SELECT count(*) FROM meter_installation WHERE deleted_at IS NULL",
    "of these stale": "SELECT count(*) FROM installation_status WHERE state = 'stale'",
    "alerts": "SELECT count(*) FROM alert",
}


@dataclass(frozen=True)
class Line:
    """A program: what it is called, how it is, for how long, and its port."""

    name: str
    how: str
    since: str = ""
    port: str = ""


@dataclass(frozen=True)
class Status:
    """`queues` and `stored` are pairs of a name and a number, or of a server's name and why it does not tell.

    Where no program runs, all of the three are empty.
    """

    servers: str
    programs: list[Line]
    queues: list[tuple[str, str]]
    stored: list[tuple[str, str]]


def look(checkout: Checkout) -> Status | None:
    """How the stack of the checkout does; None where there is none."""
    state = load_state(checkout)
    variables = read_env_file(checkout.env_file)
    if state.servers is None:
        return None
    programs = list(_programs(state))
    if state.servers.mode == "docker":
        programs += [Line(it.service, it.complaint or it.state) for it in compose.status(checkout.root)]
    queues, stored = asyncio.run(_numbers(variables)) if programs and variables else ([], [])
    return Status(str(state.servers), programs, queues, stored)


def _programs(state: State) -> Iterable[Line]:
    for name in reversed(ENDINGS):
        if name in state.processes:
            started_at = state.processes[name].started_at
            how = "stopped" if started_at is None else _how(name, state.ports)
            since = "" if started_at is None else str(timedelta(seconds=round(time.time() - started_at)))
            yield Line(name, how, since, str(state.ports.get(name, "")))


def _how(name: str, ports: dict[str, int]) -> str:
    if name not in SERVICES:
        return "runs"
    return "ready" if is_ready(ports[name]) else "runs, is not ready"


async def _numbers(variables: dict[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """How much waits in the queues and lies in the database."""
    queues, stored = await asyncio.gather(
        _or_why(_depths(variables["MBUS_BROKER_URL"]), "RabbitMQ"),
        _or_why(_counts(variables["MBUS_DATABASE_URL"]), "PostgreSQL"),
    )
    return queues, stored


async def _depths(broker_url: str) -> list[tuple[str, str]]:
    connection = await aio_pika.connect(broker_url, timeout=TIMEOUT_S)
    async with connection, connection.channel() as channel:
        declared = [await channel.declare_queue(queue.name, passive=True) for queue in topology.QUEUES]
        return [(queue.name, f"{queue.declaration_result.message_count or 0:,}") for queue in declared]


async def _counts(database_url: str) -> list[tuple[str, str]]:
    async with open_engine(database_url, application_name="mbus-status") as engine, engine.connect() as connection:
        return [(name, f"{await connection.scalar(text(count)):,}") for name, count in STORED.items()]


async def _or_why(numbers: Coroutine[Any, Any, list[tuple[str, str]]], server: str) -> list[tuple[str, str]]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await numbers
    except Exception as error:  # noqa: BLE001 - a server that is away is part of the picture
        return [(server, one_line(error))]
