"""Servers that the tests start in containers, as docker-compose.yml would."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.wait_strategies import HttpWaitStrategy

DATABASE_IMAGE = "timescale/timescaledb:2.19.3-pg17"
BROKER_IMAGE = "rabbitmq:4-management"
ENGINE_TIMEOUT_S = 20
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


@contextmanager
def database_container() -> Iterator[str]:
    """A PostgreSQL with TimescaleDB until the block ends: the superuser's URL."""
    container = PostgresContainer(
        DATABASE_IMAGE, username="mbus", password=secrets.token_hex(16), dbname="mbus", driver=None
    ).with_command(["postgres", "-c", "max_locks_per_transaction=512", "-c", "max_connections=200"])
    with container:
        yield container.get_connection_url()


@contextmanager
def broker_container() -> Iterator[tuple[str, str, str]]:
    """A RabbitMQ 4 with this project's settings until the block ends.

    The administrator's AMQP and management URL, and where it is reached over MQTT.
    """
    login = f"mbus:{secrets.token_hex(16)}"
    name, password = login.split(":")
    container = (
        DockerContainer(BROKER_IMAGE)
        .with_env("RABBITMQ_DEFAULT_USER", name)
        .with_env("RABBITMQ_DEFAULT_PASS", password)
        .with_exposed_ports(5672, 15672, 1883)
        .with_copy_into_container(BROKER_SETTINGS / "20-mbus.conf", "/etc/rabbitmq/conf.d/20-mbus.conf")
        .with_copy_into_container(BROKER_SETTINGS / "enabled_plugins", "/etc/rabbitmq/enabled_plugins")
        # The node answers over HTTP first; only then does this check ask it whether AMQP is served.
        .waiting_for(
            HttpWaitStrategy(15672, "/api/health/checks/port-listener/5672").with_basic_credentials(name, password)
        )
    )
    with container:
        host = container.get_container_host_ip()
        amqp, management, mqtt = (container.get_exposed_port(port) for port in (5672, 15672, 1883))
        yield f"amqp://{login}@{host}:{amqp}/", f"http://{login}@{host}:{management}", f"mqtt://{host}:{mqtt}"
