"""Servers that the tests start themselves, from a wheel and from the system's packages, in a temporary folder."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.stack import packages, ports
from cli.stack.accounts import private_folder, server_account
from cli.stack.postgres import EmbeddedPostgres
from cli.stack.rabbitmq import EmbeddedRabbit, find_server


@contextmanager
def embedded_database() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server until the block ends; it does not wait for the disk."""
    with server_folder() as folder:
        server = database_in(folder)
        process = server.start()
        try:
            server.wait(process)
            yield server
        finally:
            server.stop(process)


@contextmanager
def embedded_broker() -> Iterator[EmbeddedRabbit]:
    """A RabbitMQ node until the block ends; where RabbitMQ is missing it is installed, if that is allowed."""
    if find_server() is None:
        packages.install_rabbitmq(instead="MBUS_TEST_BROKER_URL", tell=print)
    with server_folder() as folder:
        server = broker_in(folder)
        epmd = server.start_epmd()
        try:
            process = server.start()
            try:
                server.wait(process)
                yield server
            finally:
                # Nobody wants its data back, so it need not close it in good order.
                process.stop(patience_s=0)
        finally:
            server.stop(epmd)


@contextmanager
def server_folder() -> Iterator[Path]:
    """A temporary folder that the servers' account can reach, which root's own TMPDIR need not be."""
    root_runs_them = server_account(Path("/nonexistent")) is not None
    with tempfile.TemporaryDirectory(prefix="mbus-test-", dir="/var/tmp" if root_runs_them else None) as name:
        yield private_folder(Path(name), server_account(Path(name)))


def database_in(folder: Path, *, port: int | None = None, password: str | None = None) -> EmbeddedPostgres:
    """A server with its data in `folder`, not started; on a free port unless `port` is given."""
    return EmbeddedPostgres(
        folder=folder / "postgres",
        log=folder / "postgres.log",
        port=port or ports.any_free(),
        password=password or secrets.token_hex(16),
        account=server_account(folder),
        durable=False,
    )


def broker_in(folder: Path) -> EmbeddedRabbit:
    """A node with its data in `folder`, not started; on free ports."""
    return EmbeddedRabbit(
        folder=folder / "rabbitmq",
        log=folder / "rabbitmq.log",
        epmd_log=folder / "epmd.log",
        node=f"mbus-test-{secrets.token_hex(4)}@localhost",
        password=secrets.token_hex(16),
        account=server_account(folder),
        port=ports.any_free(),
        mqtt_port=ports.any_free(),
        management_port=ports.any_free(),
        distribution_port=ports.any_free(),
        epmd_port=ports.any_free(),
    )
