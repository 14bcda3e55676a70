"""The commands `mbus up`, `down`, `status` and `logs`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.stack.checkout import Checkout
from cli.stack.down import remove_stack, stop_stack
from cli.stack.errors import StackError
from cli.stack.logs import show_logs
from cli.stack.report import closing_words
from cli.stack.settings import UpSettings
from cli.stack.status import Status, look
from cli.stack.up import bring_up
from shared.clock import utc_now
from shared.settings import load

INTERRUPTED = 130


def up() -> None:
    """Start the whole stack in the background: servers, services, a demo tenant and a simulator of its gateways.

    It runs on the servers of MBUS_UP_DATABASE_URL and MBUS_UP_BROKER_URL where these are set, else in Docker
    containers, else on servers of its own on this machine; MBUS_UP_MODE=docker or embedded chooses. What runs already
    is left as it is. MBUS_QUERY_PORT, MBUS_ALERTS_PORT and MBUS_INGEST_PORT choose ports.
    """
    checkout = Checkout.here()
    try:
        outcome = bring_up(checkout, load(UpSettings), tell=_tell, clock=utc_now)
    except KeyboardInterrupt:
        print("\nInterrupted. `make down` stops what was started, `make up` goes on with it.")
        raise typer.Exit(INTERRUPTED) from None
    print(closing_words(outcome, checkout, now=utc_now()))


def down(
    remove_data: Annotated[
        bool, typer.Option("--remove-data", help="Remove the stack's data, secrets and logs too.")
    ] = False,
) -> None:
    """Stop what `mbus up` started; the data stays for the next `mbus up`."""
    if remove_data:
        remove_stack(Checkout.here(), tell=_tell)
    else:
        stop_stack(Checkout.here(), tell=_tell)


def status() -> None:
    """Say what runs, since when and where, what waits in the queues, how much is stored, and up to when is judged.

    Exit code 1 when something that should run does not, or is not ready.
    """
    found = look(Checkout.here())
    if found is None:
        raise StackError("there is no stack yet: `make up` starts one")
    _print_status(found)
    if not found.is_well:
        print("\nNot all is well. `make up` starts what does not run.")
        raise typer.Exit(1)


def logs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PROGRAM]...", help="Such as ingest; all if none.")
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of each log's last lines.")] = 20,
) -> None:
    """Show the ends of the programs' logs."""
    try:
        show_logs(Checkout.here(), names or (), lines=lines, follow=follow)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _tell(what: str) -> None:
    print(f"  {what}", flush=True)


def _print_status(found: Status) -> None:
    if not found.programs:
        print(f"The stack {found.servers} is stopped. `make up` starts it.")
        return
    console = Console()
    console.print(f"The stack is {found.servers}.", highlight=False)
    programs = Table("program", "how", "for", "port", box=None)
    for line in found.programs:
        programs.add_row(line.name, line.how, line.since, line.port)
    console.print(programs)
    numbers = Table("waiting in", "messages", "stored", "rows", box=None)
    for row in range(max(len(found.queues.rows), len(found.stored.rows))):
        cells = [
            pair
            for pairs in (found.queues.rows, found.stored.rows)
            for pair in (pairs[row] if row < len(pairs) else ("", ""))
        ]
        numbers.add_row(*cells)
    console.print(numbers)
    for subject, how in found.judgement.rows:
        console.print(f"{subject} is {how}" if found.judgement.known else f"{subject}: {how}", highlight=False)
