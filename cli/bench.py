"""`mbus bench`: measures this software on your machine, against anchors taken in the same run."""

import asyncio
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.ingest.run import IngestResult, Size, as_json, run_bench
from benchmarks.place import BenchServers
from cli.settings import BrokerAdminSettings, DatabaseSettings
from cli.simulation.progress import say
from shared.settings import load

DEFAULT = Size(messages=3_000, readings=150, rounds=2, singles=10_000)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bench = typer.Typer(help="Measures this software against anchors taken in the same run.", no_args_is_help=True)
    bench.callback()(_group)
    bench.command("ingest")(ingest_command)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measures this software against anchors taken in the same run."""


def ingest_command(
    *,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object, last on stdout.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Make `reading` a plain table also where TimescaleDB is loaded.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="A million readings twice, 4 MiB messages, and 20 million rows: some ten minutes."),
    ] = False,
    messages: Annotated[int, typer.Option(min=1_000, help="Messages a round.")] = DEFAULT.messages,
    readings: Annotated[int, typer.Option(min=1, max=20_000, help="Readings a message.")] = DEFAULT.readings,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds; each measures COPY and ingest.")] = DEFAULT.rounds,
) -> None:
    """Fill the queue, drain it with the real service, and compare with COPY alone and with one upsert a row.

    Makes and drops a database and a virtual host of its own on the servers of MBUS_DATABASE_URL, MBUS_BROKER_URL and
    MBUS_BROKER_MANAGEMENT_URL (of the running stack, where they are not set).
    """
    database = load(DatabaseSettings)
    broker = load(BrokerAdminSettings)
    servers = BenchServers(
        database.database_url.get_secret_value(),
        broker.broker_url.get_secret_value(),
        broker.broker_management_url.get_secret_value(),
    )
    size = Size(messages=messages, readings=readings, rounds=rounds, singles=DEFAULT.singles)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run_bench(servers, size, hypertable=not plain, full=full, tell=say))
    _print(result)
    if as_object:
        print(msgspec.json.encode(as_json(result)).decode())


def _print(result: IngestResult) -> None:
    table = Table("figure", "value", box=None)
    table.columns[1].justify = "right"
    figures = as_json(result)
    for name, value in (figures | (figures["full"] or {})).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            table.add_row(name, f"{value:,}")
    Console(stderr=True).print(table)
