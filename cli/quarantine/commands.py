"""`mbus quarantine list|show|replay|discard`: looks after the readings that could not be stored."""

import asyncio
from typing import Annotated

import aio_pika
import typer

from cli.confirmed import open_channel, publish
from cli.errors import CommandError
from cli.progress import bar
from cli.quarantine import printing
from cli.quarantine.options import (
    AsJson,
    DryRun,
    Everything,
    Gateways,
    Ids,
    InState,
    OfTenant,
    Reasons,
    Since,
    Until,
    refuse_everything,
    selection,
)
from cli.settings import BrokerSettings, DatabaseSettings
from shared import topology
from shared.clock import utc_now
from shared.counted import counted
from shared.database import open_engine
from shared.quarantine.operations import discard_all, replay_all
from shared.quarantine.queries import Page, count_by_reason, find_one, find_page, not_selected
from shared.quarantine.replay import CONTENT_TYPE, Replay
from shared.quarantine.selection import Selection, State
from shared.settings import load


def register(app: typer.Typer) -> None:
    """Add the commands."""
    quarantine = typer.Typer(
        help="The readings that could not be stored (docs/operations.md). Needs MBUS_DATABASE_URL, and to replay"
        " MBUS_BROKER_URL.",
        no_args_is_help=True,
    )
    quarantine.command("list")(list_command)
    quarantine.command("show")(show_command)
    quarantine.command("replay")(replay_command)
    quarantine.command("discard")(discard_command)
    app.add_typer(quarantine, name="quarantine")


def list_command(
    *,
    reason: Reasons = None,
    gateway: Gateways = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    state: InState = State.WAITING,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    cursor: Annotated[int | None, typer.Option(help="Where the last page said that the next begins.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show quarantined readings, the newest first, and how many there are of each reason."""
    selected = selection(None, reason, gateway, tenant=tenant, since=since, until=until, state=state)

    async def run() -> tuple[dict[str, int], Page]:
        async with open_engine(_database_url(), application_name="mbus-cli") as engine:
            return await count_by_reason(engine, selected), await find_page(
                engine, selected, limit=limit, cursor=cursor
            )

    counts, page = asyncio.run(run())
    printing.print_page(counts, page, state, as_json=as_json)


def show_command(
    id_: Annotated[int, typer.Argument(metavar="ID", help="As `mbus quarantine list` shows it.")],
    original: Annotated[
        bool, typer.Option("--original", help="Print the text as it was sent, and nothing else.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one quarantined reading with its original text."""

    async def run() -> None:
        async with open_engine(_database_url(), application_name="mbus-cli") as engine:
            found = await find_one(engine, id_)
        if found is None:
            raise CommandError(f"there is no quarantined reading {id_}")
        printing.print_one(*found, only_original=original, as_json=as_json)

    asyncio.run(run())


def replay_command(
    ids: Ids = None,
    *,
    reason: Reasons = None,
    gateway: Gateways = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    state: InState = State.WAITING,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send quarantined readings to ingest again, as their gateways sent them.

    What is still wrong with them brings them back. They win over nothing that was sent later.
    """
    selected = selection(ids, reason, gateway, tenant=tenant, since=since, until=until, state=state)
    refuse_everything(selected, everything=everything)
    database_url = _database_url()
    broker_url = load(BrokerSettings).broker_url.get_secret_value()
    asyncio.run(_refuse_others(database_url, selected))
    replayed, left = asyncio.run(_replay(database_url, broker_url, selected, dry_run=dry_run))
    printing.print_done("replayed", replayed, dry_run=dry_run, as_json=as_json)
    if not as_json and left:
        print(f"{counted(left, 'reading')} changed or were taken by others meanwhile, and were left.")
    if not as_json and replayed and not dry_run:
        print("What is refused again waits again: `mbus quarantine list` shows it.")


async def _replay(database_url: str, broker_url: str, selected: Selection, *, dry_run: bool) -> tuple[int, int]:
    async with open_engine(database_url, application_name="mbus-cli") as engine:
        total = sum((await count_by_reason(engine, selected)).values())
        if dry_run or not total:
            return total, 0
        replayed = left = 0
        async with open_channel(broker_url) as channel:

            async def send(message: Replay) -> None:
                body = aio_pika.Message(
                    message.body,
                    headers=message.headers,
                    content_type=CONTENT_TYPE,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                await publish(channel, body, exchange=topology.GATEWAYS, routing_key=message.routing_key)

            with bar("replayed", total) as advance:
                async for more, others in replay_all(engine, selected, send, utc_now):
                    replayed += more
                    left += others
                    advance(more)
        return replayed, left


def discard_command(
    ids: Ids = None,
    *,
    reason: Reasons = None,
    gateway: Gateways = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    state: InState = State.WAITING,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete quarantined readings for ever, after asking."""
    selected = selection(ids, reason, gateway, tenant=tenant, since=since, until=until, state=state)
    refuse_everything(selected, everything=everything)
    database_url = _database_url()
    asyncio.run(_refuse_others(database_url, selected))
    counts = asyncio.run(_count(database_url, selected))
    total = sum(counts.values())
    if dry_run or not total:
        printing.print_done("discarded", total, dry_run=dry_run, as_json=as_json)
        return
    if not yes:
        printing.print_counts(counts, state)
        typer.confirm(f"Discard {'it' if total == 1 else 'them'} for ever?", abort=True, err=True)
    discarded = asyncio.run(_discard(database_url, selected, total))
    printing.print_done("discarded", discarded, dry_run=False, as_json=as_json)


async def _refuse_others(database_url: str, selected: Selection) -> None:
    """End with an error, before anything is done, where an id is named that is not there or not meant."""
    async with open_engine(database_url, application_name="mbus-cli") as engine:
        missing, left_out = await not_selected(engine, selected)
    problems = []
    if missing:
        problems.append(f"there is no quarantined reading {', '.join(map(str, missing))}")
    if left_out:
        state = "" if selected.state is State.ANY else f" (--state {selected.state})"
        problems.append(f"the other options{state} leave out {', '.join(map(str, left_out))}")
    if problems:
        raise CommandError(f"{'; '.join(problems)}; nothing was done")


async def _count(database_url: str, selected: Selection) -> dict[str, int]:
    async with open_engine(database_url, application_name="mbus-cli") as engine:
        return await count_by_reason(engine, selected)


async def _discard(database_url: str, selected: Selection, total: int) -> int:
    discarded = 0
    async with open_engine(database_url, application_name="mbus-cli") as engine:
        with bar("discarded", total) as advance:
            async for more in discard_all(engine, selected):
                discarded += more
                advance(more)
    return discarded


def _database_url() -> str:
    return load(DatabaseSettings).database_url.get_secret_value()
