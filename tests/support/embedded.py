"""Servers that the tests start themselves, from a wheel and from the system's packages, in a temporary folder."""

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from cli.stack import packages, ports
from cli.stack.accounts import private_folder, server_account
from cli.stack.postgres import EmbeddedPostgres
from cli.stack.processes import BackgroundProcess
from cli.stack.rabbitmq import EmbeddedRabbit, find_server
from tests.support.own_servers import OwnBroker, OwnServer


class RunningPostgres(OwnServer):
    """An embedded PostgreSQL with its process."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.url = server.url
        self._server = server
        self._process: BackgroundProcess | None = None

    @override
    def start(self) -> None:
        self._process = self._server.start()
        self._server.wait(self._process)

    @override
    def stop(self) -> None:
        if self._process is not None:
            self._server.stop(self._process)


class RunningRabbit(OwnBroker):
    """An embedded RabbitMQ with its process; epmd runs as long as this lasts."""

    def __init__(self, server: EmbeddedRabbit) -> None:
        self.url = server.url
        self.management_url = server.management_url
        self.mqtt_url = server.mqtt_url
        self._server = server
        self._process: BackgroundProcess | None = None

    @override
    def start(self) -> None:
        self._process = self._server.start()
        self._server.wait(self._process)

    @override
    def stop(self) -> None:
        if self._process is not None:
            self._server.stop(self._process)

    def drop(self) -> None:
        """Stop it without order, because nobody wants its data back."""
        if self._process is not None:
            self._process.stop(patience_s=0)

    @override
    def set_memory_limit(self, share_of_memory: float) -> None:
        script = find_server()
        assert script is not None
        subprocess.run(
            [script.with_name("rabbitmqctl"), "set_vm_memory_high_watermark", f"{share_of_memory:f}"],
            env=self._server.environment(),
            cwd=self._server.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
            **({} if self._server.account is None else self._server.account.as_popen),
        )


@contextmanager
def embedded_database() -> Iterator[RunningPostgres]:
    """A PostgreSQL server until the block ends; it does not wait for the disk."""
    with server_folder() as folder:
        server = RunningPostgres(database_in(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def embedded_broker() -> Iterator[RunningRabbit]:
    """A RabbitMQ node until the block ends; where RabbitMQ is missing it is installed, if that is allowed."""
    if find_server() is None:
        packages.install_rabbitmq(instead="MBUS_TEST_BROKER_URL", tell=print)
    with server_folder() as folder:
        node = broker_in(folder)
        epmd = node.start_epmd()
        try:
            server = RunningRabbit(node)
            try:
                server.start()
                yield server
            finally:
                server.drop()
        finally:
            node.stop(epmd)


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
