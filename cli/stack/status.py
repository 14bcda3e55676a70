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
from cli.stack.compose_answers import Container
from cli.stack.containers import CONTAINERS
from cli.stack.env_file import read_env_file
from cli.stack.programs import ENDINGS
from cli.stack.services import SERVICES, is_ready
from cli.stack.state import Servers, State, load_state
from services.alerts.queries.pipeline import read_pipeline
from shared import topology
from shared.database import open_engine

TIMEOUT_S = 15

STORED = {
    "readings": "SELECT count(*) FROM reading",
    "quarantined readings": "SELECT count(*) FROM quarantined_reading WHERE replayed_at IS NULL",
    "meter installations": "SELECT count(*) FROM meter_installation WHERE deleted_at IS NULL",
    "of these stale": "SELECT count(*) FROM installation_status WHERE state = 'stale'",
    "open alerts": "SELECT count(*) FROM alert WHERE closed_at IS NULL",
}


@dataclass(frozen=True)
class Line:
    """A program: what it is called, how it is, whether it is as it should be, for how long, and its port."""

    name: str
    how: str
    is_well: bool
    since: str = ""
    port: str = ""


@dataclass(frozen=True)
class Numbers:
    """Pairs of a name and a number, or words; or, not `known`, of a server's name and why it does not tell."""

    rows: list[tuple[str, str]]
    known: bool = True


@dataclass(frozen=True)
class Status:
    """What should run and how it does, what waits in the queues, what lies in the database, and up to when is judged.

    Of a stack that was stopped nothing should run, and all of these are empty. Judgement that is held is not unwell: it
    is what should be after a start.
    """

    servers: str
    programs: list[Line]
    queues: Numbers
    stored: Numbers
    judgement: Numbers

    @property
    def is_well(self) -> bool:
        """Whether all that should run does, and is ready."""
        return all(line.is_well for line in self.programs) and self.queues.known and self.stored.known


def look(checkout: Checkout) -> Status | None:
    """How the stack of the checkout does; None where there is none."""
    state = load_state(checkout)
    variables = read_env_file(checkout.env_file)
    if state.servers is None:
        return None
    programs = list(_programs(state, state.servers)) if state.processes else []
    if state.servers.mode == "docker":
        programs += [_container(it) for it in compose.status(checkout.root)]
    if not programs or not variables:
        return Status(str(state.servers), programs, Numbers([]), Numbers([]), Numbers([]))
    return Status(str(state.servers), programs, *asyncio.run(_numbers(variables)))


def is_down(checkout: Checkout) -> bool:
    """Whether the checkout has a stack that was stopped, or of which nothing is left; Docker is not asked."""
    state = load_state(checkout)
    if state.servers is None:
        return False
    return not (state.processes if state.servers.mode == "docker" else state.alive)


def _programs(state: State, servers: Servers) -> Iterable[Line]:
    """Those that should run, the servers first; one that never came up is stopped too."""
    here = [*servers.embedded, *(SERVICES if servers.mode == "local" else ()), "simulator"]
    for name in reversed(ENDINGS):
        if name in here:
            process = state.processes.get(name)
            started_at = None if process is None else process.started_at
            port = _ports(state, name)
            if started_at is None:
                yield Line(name, "stopped", False, "", port)
            else:
                is_well = name not in SERVICES or is_ready(state.ports[name])
                how = "runs, is not ready" if not is_well else "ready" if name in SERVICES else "runs"
                yield Line(name, how, is_well, str(timedelta(seconds=round(time.time() - started_at))), port)


def _ports(state: State, name: str) -> str:
    port = str(state.ports.get(name, ""))
    return f"{port}, MQTT {state.ports['mqtt']}" if name == "rabbitmq" and "mqtt" in state.ports else port


def _container(it: Container) -> Line:
    # What prepares the servers has ended when all is well.
    is_well = it.complaint is None and (it.state == "running" or it.service not in CONTAINERS)
    return Line(it.service, it.complaint or it.state, is_well, port=", ".join(map(str, sorted(it.ports))))


async def _numbers(variables: dict[str, str]) -> tuple[Numbers, Numbers, Numbers]:
    """How much waits in the queues and lies in the database, and up to when silence is judged."""
    return await asyncio.gather(
        _or_why(_depths(variables["MBUS_BROKER_URL"]), "RabbitMQ"),
        _or_why(_counts(variables["MBUS_DATABASE_URL"]), "PostgreSQL"),
        _or_why(_judgement(variables["MBUS_DATABASE_URL"]), "Silence"),
    )


async def _depths(broker_url: str) -> list[tuple[str, str]]:
    connection = await aio_pika.connect(broker_url, timeout=TIMEOUT_S)
    async with connection, connection.channel() as channel:
        declared = [await channel.declare_queue(queue.name, passive=True) for queue in topology.QUEUES]
        return [(queue.name, f"{queue.declaration_result.message_count or 0:,}") for queue in declared]


async def _counts(database_url: str) -> list[tuple[str, str]]:
    async with open_engine(database_url, application_name="mbus-status") as engine, engine.connect() as connection:
        return [(name, f"{await connection.scalar(text(count)):,}") for name, count in STORED.items()]


async def _judgement(database_url: str) -> list[tuple[str, str]]:
    async with open_engine(database_url, application_name="mbus-status") as engine:
        return [("Silence", (await read_pipeline(engine)).in_words)]


async def _or_why(numbers: Coroutine[Any, Any, list[tuple[str, str]]], server: str) -> Numbers:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return Numbers(await numbers)
    except Exception as error:  # noqa: BLE001 - a server that is away is part of the picture
        return Numbers([(server, one_line(error))], known=False)
