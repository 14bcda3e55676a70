"""The file that docker-compose.yml takes its secrets and published ports from, kept from one run to the next."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from cli.stack.accounts import private_file
from cli.stack.errors import StackError
from cli.stack.ports import next_free

SECRETS = (
    "MBUS_DATABASE_PASSWORD",
    "MBUS_BROKER_PASSWORD",
    "MBUS_INGEST_DATABASE_PASSWORD",
    "MBUS_INGEST_BROKER_PASSWORD",
    "MBUS_QUERY_DATABASE_PASSWORD",
    "MBUS_ALERTS_DATABASE_PASSWORD",
    "MBUS_ALERTS_BROKER_PASSWORD",
    "MBUS_JWT_SECRET",
)

PORTS = {
    "MBUS_PUBLISHED_DATABASE_PORT": 5432,
    "MBUS_PUBLISHED_BROKER_PORT": 5672,
    "MBUS_PUBLISHED_MANAGEMENT_PORT": 15672,
    "MBUS_PUBLISHED_MQTT_PORT": 1883,
    "MBUS_PUBLISHED_QUERY_PORT": 8000,
    "MBUS_PUBLISHED_ALERTS_PORT": 8001,
    "MBUS_PUBLISHED_INGEST_PORT": 8002,
}
"""The usual ports; where one is taken when the file is first written, the next free one is chosen."""

HEADER = """\
# Read by docker-compose.yml. The passwords are those inside the stack's volumes: keep this file as long as them.
"""


def keep_env(path: Path, *, settings: Mapping[str, str]) -> dict[str, str]:
    """Write the file with what it holds already, `settings` over that, and a new secret or free port where one lacks.

    The file is readable by its owner alone. Returns its content.
    """
    env = {**read_env(path), **settings}
    for name in SECRETS:
        env.setdefault(name, secrets.token_hex(32))
    for name, usual in PORTS.items():
        if name not in env:
            env[name] = str(_free_port(usual, env))
    path.parent.mkdir(parents=True, exist_ok=True)
    private_file(path, HEADER + "".join(f"{name}={value}\n" for name, value in env.items()), account=None)
    return env


def read_env(path: Path) -> dict[str, str]:
    """The `KEY=value` lines of a file; nothing where there is no file."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def host_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of `.mbus/env`: the same servers and services, as programs on this machine reach them."""

    def loopback(scheme: str, port: str, *, login: str = "", path: str = "") -> str:
        return f"{scheme}://{login}127.0.0.1:{env[port]}{path}"

    def database(user: str, password: str) -> str:
        login = f"{user}:{env[password]}@"
        return loopback("postgresql", "MBUS_PUBLISHED_DATABASE_PORT", login=login, path="/mbus")

    def broker(user: str, password: str) -> str:
        return loopback("amqp", "MBUS_PUBLISHED_BROKER_PORT", login=f"{user}:{env[password]}@", path="/")

    return {
        "MBUS_DATABASE_URL": database("mbus", "MBUS_DATABASE_PASSWORD"),
        "MBUS_BROKER_URL": broker("mbus", "MBUS_BROKER_PASSWORD"),
        "MBUS_BROKER_MANAGEMENT_URL": loopback(
            "http", "MBUS_PUBLISHED_MANAGEMENT_PORT", login=f"mbus:{env['MBUS_BROKER_PASSWORD']}@"
        ),
        "MBUS_INGEST_DATABASE_URL": database("mbus_ingest", "MBUS_INGEST_DATABASE_PASSWORD"),
        "MBUS_INGEST_BROKER_URL": broker("mbus-ingest", "MBUS_INGEST_BROKER_PASSWORD"),
        "MBUS_QUERY_DATABASE_URL": database("mbus_query", "MBUS_QUERY_DATABASE_PASSWORD"),
        "MBUS_ALERTS_DATABASE_URL": database("mbus_alerts", "MBUS_ALERTS_DATABASE_PASSWORD"),
        "MBUS_ALERTS_BROKER_URL": broker("mbus-alerts", "MBUS_ALERTS_BROKER_PASSWORD"),
        "MBUS_JWT_SECRET": env["MBUS_JWT_SECRET"],
        "MBUS_INGEST_URL": loopback("http", "MBUS_PUBLISHED_INGEST_PORT"),
        "MBUS_QUERY_URL": loopback("http", "MBUS_PUBLISHED_QUERY_PORT"),
        "MBUS_ALERTS_URL": loopback("http", "MBUS_PUBLISHED_ALERTS_PORT"),
    }


def _free_port(usual: int, env: Mapping[str, str]) -> int:
    try:
        return next_free(usual, taken=frozenset(int(env[name]) for name in PORTS if name in env))
    except LookupError as error:
        raise StackError(str(error)) from error
