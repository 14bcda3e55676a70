"""`mbus gateway`: the devices that may publish readings."""

import asyncio
import secrets
from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
import typer

from cli.errors import CommandError
from cli.settings import BrokerAdminSettings, DatabaseSettings
from shared import topology
from shared.broker_accounts import put_gateway_account
from shared.broker_admin import BrokerAdmin, vhost_of
from shared.database import open_engine
from shared.registry.operations import register_gateway
from shared.settings import load

PASSWORD_BYTES = 24


@dataclass(frozen=True)
class GatewayAccess:
    """What a gateway must be told to publish; the password is shown once and kept nowhere."""

    gateway_id: str
    username: str
    password: str
    exchange: str
    routing_key: str
    amqp_url: str


def register(app: typer.Typer) -> None:
    """Add the commands."""
    gateway = typer.Typer(help="The devices that may publish readings.", no_args_is_help=True)
    # A group of its own even while it has one command.
    gateway.callback()(_group)
    gateway.command("add")(add_command)
    app.add_typer(gateway, name="gateway")


def _group() -> None:
    """The devices that may publish readings."""


def add_command(
    gateway_id: Annotated[str, typer.Argument(metavar="GATEWAY_ID", help="1-64 letters, digits, `-` and `_`.")],
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="The tenant whose meters it hears.")],
    name: Annotated[str | None, typer.Option(help="What people call it; else its id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Register a gateway and make its account on the broker, and print the password, once.

    The account may publish under the gateway's own routing key and nothing else. Needs MBUS_DATABASE_URL,
    MBUS_BROKER_URL and MBUS_BROKER_MANAGEMENT_URL.
    """
    database = load(DatabaseSettings).database_url.get_secret_value()
    broker = load(BrokerAdminSettings)
    access = asyncio.run(
        add_gateway(
            gateway_id,
            tenant=tenant,
            name=name,
            database_url=database,
            broker_url=broker.broker_url.get_secret_value(),
            management_url=broker.broker_management_url.get_secret_value(),
        )
    )
    if as_json:
        print(msgspec.json.encode(asdict(access)).decode())
        return
    for what, value in asdict(access).items():
        print(f"{what:<12} {value}")
    print("The password is not shown again.")


async def add_gateway(
    gateway_id: str, *, tenant: str, name: str | None, database_url: str, broker_url: str, management_url: str
) -> GatewayAccess:
    """Register a gateway of `tenant` (its slug) and make its account; `CommandError` when it has one already."""
    async with (
        open_engine(database_url, application_name="mbus-cli") as engine,
        BrokerAdmin(management_url, vhost=vhost_of(broker_url)) as admin,
    ):
        # First the registry: it knows which ids can be an account's name.
        await register_gateway(engine, gateway_id, tenant=tenant, name=name)
        if await admin.has_account(gateway_id):
            raise CommandError(f"{gateway_id} has an account on the broker already; its password stays as it is")
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        await put_gateway_account(admin, gateway_id, password)
    return GatewayAccess(
        gateway_id=gateway_id,
        username=gateway_id,
        password=password,
        exchange=topology.GATEWAYS,
        routing_key=topology.gateway_readings_key(gateway_id),
        amqp_url=_login_url(broker_url, gateway_id, password),
    )


def _login_url(broker_url: str, name: str, password: str) -> str:
    """The broker's URL with another login."""
    parts = urlsplit(broker_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{quote(password, safe='')}@{host}"))
