"""`mbus dead-letters list|show|replay|discard`: looks after the messages that could not be understood."""

import asyncio
import sys
from typing import Annotated

import typer

from cli.dead_letters import printing
from cli.dead_letters.operations import discard, find, find_one, replay
from cli.dead_letters.selection import Ids, OfGateway, OfReason, Selection, Since, Until, refuse_everything, selection
from cli.errors import CommandError
from cli.settings import BrokerSettings
from shared.clock import utc_now
from shared.counted import counted
from shared.settings import load

Everything = Annotated[bool, typer.Option("--all", help="Every one, where nothing else says which.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many it would be, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(
        help="The messages that could not be understood, in the queue `dead-letters` (docs/operations.md). Needs"
        " MBUS_BROKER_URL, as the broker's administrator. While a command looks at a message, no other one sees it.",
        no_args_is_help=True,
    )
    letters.command("list")(list_command)
    letters.command("show")(show_command)
    letters.command("replay")(replay_command)
    letters.command("discard")(discard_command)
    app.add_typer(letters, name="dead-letters")


def list_command(
    *,
    reason: OfReason = None,
    gateway: OfGateway = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show at most so many.")] = 50,
    look: Annotated[int, typer.Option("--look", min=1, help="Look at the oldest so many only.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Show dead letters, the oldest first, and how many there are of each reason. They stay where they are."""
    selected = selection(None, reason, gateway, since=since, until=until)
    found = asyncio.run(find(_url(), selected, keep=limit, look_at=look))
    printing.print_list(found, as_json=as_json)


def show_command(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `mbus dead-letters list` shows it.")],
    body: Annotated[bool, typer.Option("--body", help="Print the body as it was sent, and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its headers and its body."""
    letter = asyncio.run(find_one(_url(), id_))
    if letter is None:
        raise CommandError(f"there is no dead letter {id_}")
    if body:
        sys.stdout.buffer.write(letter.body)
        sys.stdout.buffer.flush()
    else:
        printing.print_one(letter, as_json=as_json)


def replay_command(
    ids: Ids = None,
    *,
    reason: OfReason = None,
    gateway: OfGateway = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again to where they came from, as they were sent.

    What is still no message comes back as another dead letter.
    """
    selected = selection(ids, reason, gateway, since=since, until=until)
    refuse_everything(selected, everything=everything)
    if dry_run:
        number = sum(asyncio.run(find(_url(), selected, keep=0)).counts.values())
        printing.print_done("replayed", number, dry_run=True, as_json=as_json)
        return
    replayed, homeless = asyncio.run(replay(_url(), selected, utc_now))
    printing.print_done("replayed", replayed, dry_run=False, as_json=as_json)
    if homeless and not as_json:
        whence = "it came" if homeless == 1 else "they came"
        print(f"{counted(homeless, 'dead letter')} stayed: nobody knows where {whence} from.")


def discard_command(
    ids: Ids = None,
    *,
    reason: OfReason = None,
    gateway: OfGateway = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters for ever, after asking."""
    selected = selection(ids, reason, gateway, since=since, until=until)
    refuse_everything(selected, everything=everything)
    if not yes or dry_run:
        found = asyncio.run(find(_url(), selected, keep=0))
        number = sum(found.counts.values())
        if dry_run or not number:
            printing.print_done("discarded", number, dry_run=dry_run, as_json=as_json)
            return
        printing.print_counts(found)
        typer.confirm(f"Discard {'it' if number == 1 else 'them'} for ever?", abort=True, err=True)
        # Not what has come meanwhile.
        selected = Selection(ids=found.ids)
    printing.print_done("discarded", asyncio.run(discard(_url(), selected)), dry_run=False, as_json=as_json)


def _url() -> str:
    return load(BrokerSettings).broker_url.get_secret_value()
