"""Servers that the tests start in containers, as docker-compose.yml would."""

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.wait_strategies import HttpWaitStrategy
from typing_extensions import override

from cli.stack import ports
from tests.support.own_servers import OwnBroker, OwnServer

DATABASE_IMAGE = "timescale/timescaledb:2.19.3-pg17"
BROKER_IMAGE = "rabbitmq:4-management"
ENGINE_TIMEOUT_S = 20
STOP_PATIENCE_S = 60
BROKER_SETTINGS = Path(__file__).parents[2] / "deploy" / "rabbitmq"


def why_no_containers() -> str | None:
    """Why containers cannot be used here, in one line; None when they can: an engine answers and has the images."""
    # The client first: the library leaves sockets open when it cannot reach an engine.
    client = shutil.which("docker")
    if client is None:
        return "there is no Docker client"
    try:
        asked = subprocess.run([client, "info"], capture_output=True, timeout=ENGINE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    if asked.returncode != 0:
        return "no Docker engine answers"
    engine = DockerClient().client
    try:
        for image in (DATABASE_IMAGE, BROKER_IMAGE):
            if not _is_there(engine, image):
                return f"the image {image} is not here and cannot be pulled"
        # The container that clears up after a killed run: without its image, runs clear up after themselves only.
        ryuk = testcontainers_config
        ryuk.ryuk_disabled = ryuk.ryuk_disabled or not _is_there(engine, ryuk.ryuk_image)
    except docker.errors.DockerException as error:
        return f"the Docker engine refuses: {' '.join(str(error).split())}"
    finally:
        engine.close()
    return None


def _is_there(engine: docker.DockerClient, image: str) -> bool:
    try:
        engine.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            engine.images.pull(image)
        except docker.errors.APIError:
            return False
    return True


class RunningContainer(OwnServer):
    """A server in a container; its ports on this machine are fixed, so that it has the same after a restart."""

    def __init__(self, container: DockerContainer, ready: Callable[[], object]) -> None:
        self._container = container
        self._ready = ready

    @override
    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=STOP_PATIENCE_S)

    @override
    def start(self) -> None:
        self._container.get_wrapped_container().start()
        self._ready()


class DatabaseContainer(RunningContainer):
    """PostgreSQL with TimescaleDB; `url` is the superuser's."""

    def __init__(self, container: PostgresContainer) -> None:
        super().__init__(container, container._connect)  # noqa: SLF001 - what it waits for at its first start
        self.url = container.get_connection_url()


class BrokerContainer(RunningContainer, OwnBroker):
    """RabbitMQ 4; the URLs for AMQP and management are the administrator's."""

    def __init__(self, container: DockerContainer, ready: HttpWaitStrategy, login: str) -> None:
        super().__init__(container, lambda: ready.wait_until_ready(container))
        host = container.get_container_host_ip()
        self.url = f"amqp://{login}@{host}:{container.get_exposed_port(5672)}/"
        self.management_url = f"http://{login}@{host}:{container.get_exposed_port(15672)}"
        self.mqtt_url = f"mqtt://{host}:{container.get_exposed_port(1883)}"

    @override
    def set_memory_limit(self, share_of_memory: float) -> None:
        done = self._container.exec(["rabbitmqctl", "set_vm_memory_high_watermark", f"{share_of_memory:f}"])
        assert done.exit_code == 0, done.output


@contextmanager
def database_container() -> Iterator[DatabaseContainer]:
    """A PostgreSQL with TimescaleDB until the block ends."""
    container = (
        PostgresContainer(DATABASE_IMAGE, username="mbus", password=secrets.token_hex(16), dbname="mbus", driver=None)
        .with_command(["postgres", "-c", "max_locks_per_transaction=512", "-c", "max_connections=200"])
        .with_bind_ports(5432, ports.any_free())
    )
    with container:
        yield DatabaseContainer(container)


@contextmanager
def broker_container() -> Iterator[BrokerContainer]:
    """A RabbitMQ 4 with this project's settings until the block ends."""
    login = f"mbus:{secrets.token_hex(16)}"
    name, password = login.split(":")
    # The node answers over HTTP first; only then does this check ask it whether AMQP is served.
    ready = HttpWaitStrategy(15672, "/api/health/checks/port-listener/5672").with_basic_credentials(name, password)
    container = (
        DockerContainer(BROKER_IMAGE)
        .with_env("RABBITMQ_DEFAULT_USER", name)
        .with_env("RABBITMQ_DEFAULT_PASS", password)
        .with_bind_ports(5672, ports.any_free())
        .with_bind_ports(15672, ports.any_free())
        .with_bind_ports(1883, ports.any_free())
        .with_copy_into_container(BROKER_SETTINGS / "20-mbus.conf", "/etc/rabbitmq/conf.d/20-mbus.conf")
        .with_copy_into_container(BROKER_SETTINGS / "enabled_plugins", "/etc/rabbitmq/enabled_plugins")
        .waiting_for(ready)
    )
    with container:
        yield BrokerContainer(container, ready, login)
