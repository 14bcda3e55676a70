"""Embedded servers come up on loopback only, keep their data over a stop, and leave nothing behind."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aio_pika
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cli.stack.accounts import private_folder
from cli.stack.errors import StackError
from cli.stack.ports import is_free
from cli.stack.postgres import EmbeddedPostgres
from cli.stack.processes import BackgroundProcess, start, wait_for_end
from cli.stack.rabbitmq import find_server
from cli.stack.strays import MARK, end_strays
from shared.broker_admin import BrokerAdmin
from shared.database import open_engine
from tests.support.embedded import broker_in, database_in, server_folder

needs_rabbit = pytest.mark.skipif(find_server() is None, reason="RabbitMQ is not installed on this machine")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One for all: root's servers need a copy of PostgreSQL in it, which takes a while."""
    with server_folder() as made:
        yield made


def addresses(*ports: int) -> set[str]:
    """Where anybody listens at these ports."""
    listening = [it.laddr for it in psutil.net_connections("inet") if it.status == psutil.CONN_LISTEN and it.laddr]
    return {address.ip for address in listening if address.port in ports}


def family(*processes: BackgroundProcess) -> list[psutil.Process]:
    """The processes with all that they have started."""
    members = [psutil.Process(process.pid) for process in processes]
    return members + [child for member in members for child in member.children(recursive=True)]


def left_of(members: list[psutil.Process]) -> list[psutil.Process]:
    """Those who still run, after a moment."""
    return wait_for_end(members, timeout_s=10)


def begin_marked(data: Path, *, log: Path) -> BackgroundProcess:
    """A program of the stack with this data."""
    return start(["sleep", "600"], log=log, env={**os.environ, MARK: str(data)}, folder=log.parent)


@contextmanager
def running(server: EmbeddedPostgres) -> Iterator[BackgroundProcess]:
    process = server.start()
    try:
        server.wait(process)
        yield process
    finally:
        server.stop(process)


async def select(server: EmbeddedPostgres, query: str) -> str:
    async with open_engine(server.url, application_name="mbus-tests") as engine, engine.connect() as connection:
        return str(await connection.scalar(text(query)))


async def test_a_postgres_comes_up_keeps_its_data_and_goes(folder: Path) -> None:
    server = database_in(folder)
    with running(server) as process:
        members = family(process)
        assert addresses(server.port) == {"127.0.0.1"}
        assert await select(server, "SHOW max_locks_per_transaction") == "512"
        async with open_engine(server.url, application_name="mbus-tests") as engine, engine.begin() as connection:
            await connection.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))
    assert left_of(members) == []
    with running(server):
        assert await select(server, "SELECT answer FROM kept") == "42"


async def test_a_postgres_asks_for_its_password(folder: Path) -> None:
    server = database_in(folder)
    with running(server), pytest.raises(DBAPIError, match="password authentication failed"):
        await select(database_in(folder, port=server.port, password="another"), "SELECT 1")


def test_a_postgres_that_was_lost_sight_of_is_stopped_before_another_one_starts(folder: Path) -> None:
    server = database_in(folder)
    with running(server) as lost, running(server):
        assert not lost.is_alive


def test_what_is_left_of_a_stack_is_ended_and_what_is_noted_is_not(folder: Path, tmp_path: Path) -> None:
    server, noted = database_in(folder), begin_marked(folder, log=tmp_path / "log")
    told: list[str] = []
    with running(server) as lost:
        assert end_strays(folder, noted=[noted], tell=told.append)
        assert not lost.is_alive
        assert is_free(server.port)
    assert told == ["stopping what was left of an earlier stack: postgres"]
    assert noted.is_alive
    assert not end_strays(folder, noted=[noted], tell=told.append)
    noted.stop(patience_s=10)


def test_a_pid_file_that_names_another_program_now_does_not_keep_a_postgres_from_starting(folder: Path) -> None:
    server = database_in(folder)
    with running(server) as process:
        process.stop(patience_s=0)
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    of_the_dead = pid_file.read_text()
    pid_file.write_text(of_the_dead.replace(str(process.pid), str(os.getpid()), 1))
    with running(server) as process:
        assert process.is_alive


def test_a_port_that_is_taken_is_one_line_from_the_servers_log(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = database_in(folder, port=other.getsockname()[1])
        refused = pytest.raises(StackError, match=r"^PostgreSQL did not start: .*could not.*\(log: .*postgres.log\)$")
        with refused, running(server):
            pass


def test_data_of_another_postgres_is_refused_and_left_alone(tmp_path: Path) -> None:
    server = database_in(tmp_path)
    data = private_folder(tmp_path / "postgres" / "data", None)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match="was made by PostgreSQL 9, and this is PostgreSQL"):
        server.start()
    assert (data / "PG_VERSION").read_text() == "9\n"


@needs_rabbit
async def test_a_rabbit_comes_up_and_goes_with_its_epmd(folder: Path) -> None:
    server = broker_in(folder)
    epmd = server.start_epmd()
    process = server.start()
    try:
        server.wait(process)
        members = family(process, epmd)
        assert addresses(server.port, server.mqtt_port, server.management_port, server.distribution_port) == {
            "127.0.0.1"
        }
        assert addresses(server.epmd_port) <= {"127.0.0.1", "::1"}
        await (await aio_pika.connect(server.url)).close()
        async with BrokerAdmin(server.management_url, vhost="/") as admin:
            assert await admin.has_vhost()
        assert not any(server.password in " ".join(member.cmdline()) for member in members)
        assert "\x1b" not in server.log.read_text()
    finally:
        ended_by_themselves = server.stop(process), server.stop(epmd)
    assert ended_by_themselves == (True, True)
    assert left_of(members) == []


@needs_rabbit
def test_a_rabbit_whose_process_was_killed_leaves_its_ports_to_the_next(folder: Path) -> None:
    server = broker_in(folder)
    epmd = server.start_epmd()
    try:
        process = server.start()
        server.wait(process)
        members = family(process)
        members[0].kill()
        assert left_of(members) == []
        assert all(map(is_free, (server.port, server.mqtt_port, server.management_port, server.distribution_port)))
    finally:
        server.stop(epmd)
