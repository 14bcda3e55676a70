"""`mbus delivery list|redeliver`: looks after what is sent to subscriptions by webhook and mail."""

import asyncio
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from cli.deliveries import printing
from cli.errors import CommandError
from cli.options import moment
from cli.progress import bar
from cli.settings import DatabaseSettings
from services.alerts.operations.redelivery_in_bulk import count_again, redeliver_all
from services.alerts.queries.delivery_fields import DeliveryState
from services.alerts.queries.delivery_selection import (
    Logged,
    Selection,
    Standing,
    count_by_state,
    find_subscription,
    newest,
    not_there,
    subscriptions_of,
)
from shared.database import open_engine
from shared.registry.tenants import find_tenant
from shared.settings import load

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OfSubscription = Annotated[UUID | None, typer.Option("--subscription", metavar="ID", help="To this subscription.")]


class Ended(StrEnum):
    """How a delivery ended that may be sent again."""

    DROPPED = "dropped"
    DELIVERED = "delivered"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    delivery = typer.Typer(
        help="What is sent to subscriptions by webhook and mail (docs/operations.md). Needs MBUS_DATABASE_URL.",
        no_args_is_help=True,
    )
    delivery.command("list")(list_command)
    delivery.command("redeliver")(redeliver_command)
    app.add_typer(delivery, name="delivery")


def list_command(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="SLUG", help="Only this tenant's.")] = None,
    subscription: OfSubscription = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show deliveries, the newest first, and how many there are in each state."""

    async def run() -> tuple[dict[DeliveryState, int], list[Logged]]:
        async with open_engine(_database_url(), application_name="mbus-cli") as engine:
            async with engine.connect() as connection:
                tenant_id = None if tenant is None else await find_tenant(connection, tenant)
                if subscription is not None:
                    _there(subscription, await find_subscription(connection, subscription))
            selected = Selection(tenant_id=tenant_id, subscription_id=subscription, state=state)
            return await count_by_state(engine, selected), await newest(engine, selected, limit=limit)

    counts, items = asyncio.run(run())
    printing.print_list(counts, items, as_json=as_json)


def redeliver_command(
    ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="As `mbus delivery list` shows them.")
    ] = None,
    *,
    subscription: OfSubscription = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Made from then on: 2026-11-01, 2026-11-01T12:00:00Z, 36h for ago."),
    ] = None,
    state: Annotated[
        Ended | None, typer.Option(help="Of a subscription, those that ended so.", show_default="dropped")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many it would be, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send deliveries again under the ids that they had: those named, or what a subscription did not get.

    What went out in a digest goes again as that digest. Those named may be pending, and are tried now.
    """
    if bool(ids) == (subscription is not None):
        raise typer.BadParameter("say which: either ids, or --subscription")
    if ids and (since is not None or state is not None):
        raise typer.BadParameter("--since and --state go with --subscription")
    selected = Selection(
        ids=ids or (),
        subscription_id=subscription,
        since=None if since is None else moment(since),
        state=None if ids else DeliveryState(state or Ended.DROPPED),
    )
    number = asyncio.run(_redeliver(_database_url(), selected, dry_run=dry_run))
    printing.print_done(number, dry_run=dry_run, as_json=as_json)


async def _redeliver(database_url: str, selected: Selection, *, dry_run: bool) -> int:
    async with open_engine(database_url, application_name="mbus-cli") as engine:
        if missing := await not_there(engine, selected.ids):
            raise CommandError(f"there is no delivery {', '.join(map(str, missing))}; nothing was done")
        if selected.subscription_id is None:
            standings = await subscriptions_of(engine, selected)
        else:
            async with engine.connect() as connection:
                found = await find_subscription(connection, selected.subscription_id)
            standings = [_there(selected.subscription_id, found)]
        if silent := [f"{one.id} is {one.silent_because}" for one in standings if one.silent_because]:
            raise CommandError(f"nothing is sent to these subscriptions: {', '.join(silent)}; nothing was done")
        total = await count_again(engine, selected)
        if dry_run or not total:
            return total
        redelivered = 0
        with bar("sent again", total) as advance:
            async for more in redeliver_all(engine, selected):
                redelivered += more
                advance(more)
        return redelivered


def _there(subscription_id: UUID, found: Standing | None) -> Standing:
    if found is None:
        raise CommandError(f"there is no subscription {subscription_id}")
    return found


def _database_url() -> str:
    return load(DatabaseSettings).database_url.get_secret_value()
