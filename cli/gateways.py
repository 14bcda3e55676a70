"""`mbus gateway`: the devices that may publish readings."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.gateway_access import GatewayAccess, GatewayAccounts, KnownGateway
from cli.logins import print_json, print_login
from cli.settings import GatewaySettings
from shared.clock import utc_now
from shared.counted import counted
from shared.settings import load

GatewayId = Annotated[str, typer.Argument(metavar="GATEWAY_ID", help="1-64 letters, digits, `-` and `_`.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", metavar="SLUG", help="Only if it is this tenant's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    gateway = typer.Typer(
        help="The devices that may publish readings. Needs MBUS_DATABASE_URL, MBUS_BROKER_URL and"
        " MBUS_BROKER_MANAGEMENT_URL; MBUS_MQTT_URL is where gateways find the broker over MQTT.",
        no_args_is_help=True,
    )
    gateway.command("list")(list_command)
    gateway.command("add")(add_command)
    gateway.command("rotate")(rotate_command)
    gateway.command("disable")(disable_command)
    app.add_typer(gateway, name="gateway")


def add_command(
    gateway_id: GatewayId,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="The tenant whose meters it hears.")],
    name: Annotated[str | None, typer.Option(help="What people call it; else its id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a gateway and make its account on the broker, and print the password, once.

    The account may publish under the gateway's own routing keys and nothing else. A gateway that was disabled is taken
    into use again.
    """

    async def run() -> GatewayAccess:
        async with GatewayAccounts.open(load(GatewaySettings)) as accounts:
            return await accounts.add(gateway_id, tenant=tenant, name=name)

    print_login(asdict(asyncio.run(run())), as_json=as_json)


def rotate_command(gateway_id: GatewayId, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Give a gateway a new password, and print it, once; connections that are open with the old one are closed."""

    async def run() -> GatewayAccess:
        async with GatewayAccounts.open(load(GatewaySettings)) as accounts:
            return await accounts.rotate(gateway_id, tenant=tenant)

    print_login(asdict(asyncio.run(run())), as_json=as_json)


def disable_command(gateway_id: GatewayId, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Take a gateway out of use: its account on the broker is deleted, and its connections end.

    What the broker has accepted from it by then is stored like any other message. `mbus gateway add` takes it into use
    again.
    """

    async def run() -> bool:
        async with GatewayAccounts.open(load(GatewaySettings)) as accounts:
            return await accounts.disable(gateway_id, tenant=tenant, clock=utc_now) is None

    changed = asyncio.run(run())
    if as_json:
        print_json({"gateway_id": gateway_id, "changed": changed})
    else:
        print(f"{gateway_id} is disabled." if changed else f"{gateway_id} was disabled already.")


def list_command(
    tenant: Annotated[str | None, typer.Option(metavar="SLUG", help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List the gateways: whose they are, whether they have an account on the broker, and whether they are connected."""

    async def run() -> list[KnownGateway]:
        async with GatewayAccounts.open(load(GatewaySettings)) as accounts:
            return await accounts.known(tenant=tenant)

    gateways = asyncio.run(run())
    if as_json:
        for it in gateways:
            print_json(asdict(it))
        return
    table = Table("gateway", "tenant", "name", "state", "connected", "meters", box=None)
    for it in gateways:
        since = f" since {it.disabled_at:%Y-%m-%d}" if it.disabled_at else ""
        table.add_row(
            it.gateway_id, it.tenant, it.name, it.state + since, "yes" if it.connections else "no", f"{it.meters:,}"
        )
    if gateways:
        Console(markup=False, emoji=False).print(table)
    print(f"{counted(len(gateways), 'gateway')}.")
