"""The file that docker-compose.yml takes its secrets and published ports from, kept from one run to the next."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.stack.env_file import read_env_file, write_env_file
from cli.stack.errors import StackError
from cli.stack.ports import is_free, next_free
from cli.stack.services import SERVICES
from cli.stack.variables import AUDIENCE, service_urls

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
"""The usual ports."""


def keep_env(
    path: Path,
    *,
    settings: Mapping[str, str],
    held: frozenset[int] = frozenset(),
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Write the file with what it holds already, `settings` over that, and a new secret or free port where one lacks.

    `held` are the ports that the stack itself has now. Another one that is taken gives way to a free one, and that is
    told; in `settings` it is refused. The file is readable by its owner alone. Returns its content. The passwords in it
    are those inside the stack's volumes, so that it must be kept as long as them.
    """
    env = {**read_env_file(path), **settings}
    for name in SECRETS:
        env.setdefault(name, secrets.token_hex(32))
    for name, usual in PORTS.items():
        port = int(env.get(name, usual))
        is_taken = port not in held and not is_free(port)
        others = frozenset(int(env[other]) for other in PORTS if other in env and other != name)
        if is_taken and name in settings:
            raise StackError(f"{name} is {port}, and another program has that port")
        if name not in settings and (is_taken or port in others):
            taken, port = port, _free_port(usual, others)
            tell(f"port {taken} is taken, {name} is {port}")
        env[name] = str(port)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_env_file(path, env)
    return env


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
        "MBUS_MQTT_URL": loopback("mqtt", "MBUS_PUBLISHED_MQTT_PORT"),
        "MBUS_INGEST_DATABASE_URL": database("mbus_ingest", "MBUS_INGEST_DATABASE_PASSWORD"),
        "MBUS_INGEST_BROKER_URL": broker("mbus-ingest", "MBUS_INGEST_BROKER_PASSWORD"),
        "MBUS_QUERY_DATABASE_URL": database("mbus_query", "MBUS_QUERY_DATABASE_PASSWORD"),
        "MBUS_ALERTS_DATABASE_URL": database("mbus_alerts", "MBUS_ALERTS_DATABASE_PASSWORD"),
        "MBUS_ALERTS_BROKER_URL": broker("mbus-alerts", "MBUS_ALERTS_BROKER_PASSWORD"),
        "MBUS_JWT_SECRET": env["MBUS_JWT_SECRET"],
        "MBUS_JWT_AUDIENCE": env.get("MBUS_JWT_AUDIENCE", AUDIENCE),
        **service_urls({name: int(env[f"MBUS_PUBLISHED_{name.upper()}_PORT"]) for name in SERVICES}),
    }


def _free_port(usual: int, others: frozenset[int]) -> int:
    try:
        return next_free(usual, taken=others)
    except LookupError as error:
        raise StackError(str(error)) from error
