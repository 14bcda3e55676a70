"""`mbus registry import`: brings a file of installations into the registry."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.options import read_bytes
from cli.settings import DatabaseSettings
from shared.clock import utc_now
from shared.counted import counted
from shared.database import open_engine
from shared.registry import carrying_out
from shared.registry.changes import Plan
from shared.registry.operations import import_registry
from shared.registry.problems import RefusedError
from shared.registry.records import read_records
from shared.settings import load


def register(app: typer.Typer) -> None:
    """Add the command."""
    registry = typer.Typer(help="Tenants, properties, units, gateways and meter installations.", no_args_is_help=True)
    registry.command("import")(import_command)
    app.add_typer(registry, name="registry")


def import_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV (UTF-8, commas or semicolons) or JSON (a list); - for stdin.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Create and update what FILE describes, one meter installation a line, in the database of MBUS_DATABASE_URL.

    All or nothing: where anything is wrong, it says of each line what, and imports nothing. Importing a file twice
    changes nothing the second time.

    Columns: tenant, property, address, unit, meter_serial, medium, unit_of_measure, installed_at; and, where wanted,
    gateway_id, tenant_name, value_field, installation_id, deleted_at, replaces_serial, billing_start_month,
    expected_interval, time_zone.
    """
    content = read_bytes(file)
    url = load(DatabaseSettings).database_url.get_secret_value()
    console = Console(stderr=True)
    try:
        plan = asyncio.run(_import(url, content, console, dry_run=dry_run))
    except RefusedError as refused:
        for problem in refused.problems:
            console.out(str(problem), highlight=False)
        console.out(f"mbus: nothing imported, {counted(len(refused.problems), 'problem')}", highlight=False)
        raise typer.Exit(1) from None
    _tell(plan, dry_run=dry_run)


async def _import(url: str, content: bytes, console: Console, *, dry_run: bool) -> Plan:
    records = read_records(content)
    async with open_engine(url, application_name="mbus-cli") as engine:
        with _progress(console) as progress:
            return await import_registry(engine, records, clock=utc_now, dry_run=dry_run, progress=progress)


@contextmanager
def _progress(console: Console) -> Iterator[carrying_out.Progress]:
    """A bar for each table on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks or done < bars.tasks[tasks[what]].completed:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield show


def _tell(plan: Plan, *, dry_run: bool) -> None:
    table = Table("", "created", "updated", "unchanged", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, count in plan.counts():
        table.add_row(kind, str(count.created), str(count.updated), str(count.unchanged))
    Console().print(table)
    if plan.changes_nothing:
        print("Everything is registered as the file says; nothing changed.")
    elif dry_run:
        print("This is what an import would do; nothing changed.")
