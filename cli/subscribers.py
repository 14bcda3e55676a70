"""`mbus subscriber`: the accounts on the broker that read alert events."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.logins import print_json, print_login
from cli.settings import SubscriberSettings
from cli.subscriber_access import KnownSubscriber, SubscriberAccess, SubscriberAccounts
from shared.counted import counted
from shared.settings import load

Name = Annotated[str, typer.Argument(metavar="NAME", help="1-64 letters, digits, `-` and `_`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    subscriber = typer.Typer(
        help="Who may read alert events from the broker. Needs MBUS_DATABASE_URL, MBUS_BROKER_URL and"
        " MBUS_BROKER_MANAGEMENT_URL.",
        no_args_is_help=True,
    )
    subscriber.command("list")(list_command)
    subscriber.command("add")(add_command)
    subscriber.command("rotate")(rotate_command)
    subscriber.command("remove")(remove_command)
    app.add_typer(subscriber, name="subscriber")


def add_command(
    name: Name,
    tenant: Annotated[str | None, typer.Option(metavar="SLUG", help="The tenant whose alerts it reads.")] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="It reads what is for operators: events of the pipeline.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an account on the broker that reads alert events, and print the password, once.

    It reads those of one tenant, or those for operators, whatever it binds, and may publish nothing.
    """
    if operator == (tenant is not None):
        raise typer.BadParameter("say whose events it reads: either --tenant SLUG or --operator")

    async def run() -> SubscriberAccess:
        async with SubscriberAccounts.open(load(SubscriberSettings)) as accounts:
            return await accounts.add(name, tenant=tenant)

    print_login(asdict(asyncio.run(run())), as_json=as_json)


def rotate_command(name: Name, as_json: AsJson = False) -> None:
    """Give a subscriber a new password, and print it, once; connections that are open with the old one are closed.

    Its queues stay, with what waits in them.
    """

    async def run() -> SubscriberAccess:
        async with SubscriberAccounts.open(load(SubscriberSettings)) as accounts:
            return await accounts.rotate(name)

    print_login(asdict(asyncio.run(run())), as_json=as_json)


def remove_command(name: Name, as_json: AsJson = False) -> None:
    """Delete a subscriber's account, which ends its connections, and its queues with what waits in them."""

    async def run() -> list[str]:
        async with SubscriberAccounts.open(load(SubscriberSettings)) as accounts:
            return await accounts.remove(name)

    queues = asyncio.run(run())
    if as_json:
        print_json({"subscriber": name, "queues": queues})
    else:
        print(f"{name} is removed, with {counted(len(queues), 'queue')}.")


def list_command(
    tenant: Annotated[str | None, typer.Option(metavar="SLUG", help="Only those of this tenant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List the subscribers: whose events they read, whether they are connected, and what waits for them.

    What waits is as of some seconds ago.
    """

    async def run() -> list[KnownSubscriber]:
        async with SubscriberAccounts.open(load(SubscriberSettings)) as accounts:
            return await accounts.known(tenant=tenant)

    subscribers = asyncio.run(run())
    if as_json:
        for it in subscribers:
            print_json(asdict(it))
        return
    table = Table("subscriber", "reads", "connected", "queues", "waiting", box=None)
    for it in subscribers:
        reads = f"tenant {it.tenant}" if it.tenant else "for operators"
        table.add_row(it.subscriber, reads, "yes" if it.connections else "no", str(it.queues), f"{it.waiting:,}")
    if subscribers:
        Console(markup=False, emoji=False).print(table)
    print(f"{counted(len(subscribers), 'subscriber')}.")
