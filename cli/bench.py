"""`mbus bench`: measures this software on your machine, against anchors taken in the same run."""

import asyncio
from typing import Annotated, Any

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.alerts import run as alerts
from benchmarks.alerts.folds import FoldSize
from benchmarks.alerts.punctuality import LatenessSize
from benchmarks.alerts.sweeps import SweepSize
from benchmarks.ingest import run as ingest
from benchmarks.place import BenchServers
from benchmarks.query import run as query
from benchmarks.query.full import FullSize
from cli.settings import BrokerAdminSettings, DatabaseSettings
from cli.simulation.progress import say
from shared.settings import load

INGEST = ingest.Size(messages=3_000, readings=150, rounds=2, singles=10_000)
QUERY = query.Size(extent=query.MILLION, rounds=5, seconds=3.0, connections=8)
QUERY_FULL = FullSize(few=query.FEW_YEARS, many=query.MANY_YEARS, rounds=5, seconds=1.5, bulk=1_000_000)
ALERTS = alerts.Size(
    folds=FoldSize(rounds=2, messages=INGEST.messages, installations=50_000, turns=4),
    lateness=LatenessSize(seconds=2, due=1_000, replicas=False),
    sweeps=SweepSize(few=10_000, many=100_000, due=1_000, rounds=5),
    webhooks=10_000,
)
ALERTS_FULL = alerts.Size(
    folds=FoldSize(rounds=3, messages=INGEST.messages, installations=100_000, turns=5),
    lateness=LatenessSize(seconds=5, due=1_000, replicas=True),
    sweeps=SweepSize(few=10_000, many=1_000_000, due=1_000, rounds=7),
    webhooks=100_000,
)

AsObject = Annotated[bool, typer.Option("--json", help="Print one JSON object, last on stdout.")]
Plain = Annotated[bool, typer.Option("--plain", help="Make `reading` a plain table also where TimescaleDB is loaded.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bench = typer.Typer(help="Measures this software against anchors taken in the same run.", no_args_is_help=True)
    bench.callback()(_group)
    bench.command("ingest")(ingest_command)
    bench.command("query")(query_command)
    bench.command("alerts")(alerts_command)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measures this software against anchors taken in the same run."""


def ingest_command(
    *,
    as_object: AsObject = False,
    plain: Plain = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="A million readings twice, 4 MiB messages, and 20 million rows: some ten minutes."),
    ] = False,
    messages: Annotated[int, typer.Option(min=1_000, help="Messages a round.")] = INGEST.messages,
    readings: Annotated[int, typer.Option(min=1, max=20_000, help="Readings a message.")] = INGEST.readings,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds; each measures COPY and ingest.")] = INGEST.rounds,
) -> None:
    """Fill the queue, drain it with the real service, and compare with COPY alone and with one upsert a row.

    Makes and drops a database and a virtual host of its own on the servers of MBUS_DATABASE_URL, MBUS_BROKER_URL and
    MBUS_BROKER_MANAGEMENT_URL (of the running stack, where they are not set).
    """
    servers = _servers()
    size = ingest.Size(messages=messages, readings=readings, rounds=rounds, singles=INGEST.singles)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(ingest.run_bench(servers, size, hypertable=not plain, full=full, tell=say))
    _print(ingest.as_json(result), as_object=as_object)


def query_command(
    *,
    as_object: AsObject = False,
    plain: Plain = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="20 million readings and 100,000 installations too, on both kinds of table: some twelve minutes.",
        ),
    ] = False,
    rounds: Annotated[
        int, typer.Option(min=1, max=50, help="Rounds; each measures the service and what it is compared with.")
    ] = QUERY.rounds,
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="How long each is measured in a round.")] = (
        QUERY.seconds
    ),
    connections: Annotated[int, typer.Option(min=1, max=256, help="Connections of the client.")] = QUERY.connections,
) -> None:
    """Ask the real service for pages of 100 readings, and compare with the ORM's way and with JSON built by PostgreSQL.

    The service looks at a token and holds tenants apart, the others do neither. Makes and drops a database of its own
    on the server of MBUS_DATABASE_URL (of the running stack, where it is not set).
    """
    url = load(DatabaseSettings).database_url.get_secret_value()
    size = query.Size(extent=QUERY.extent, rounds=rounds, seconds=seconds, connections=connections)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(
            query.run_bench(url, size, hypertable=not plain, full=QUERY_FULL if full else None, tell=say)
        )
    _print(query.as_json(result), as_object=as_object)


def alerts_command(
    *,
    as_object: AsObject = False,
    plain: Plain = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="A million installations, four replicas, 100,000 webhooks: some ten minutes."),
    ] = False,
) -> None:
    """Sweep 1,000 due installations among few and many, fold what ingest stored, time alerts and webhooks on their way.

    Makes and drops databases and virtual hosts of its own on the servers of MBUS_DATABASE_URL, MBUS_BROKER_URL and
    MBUS_BROKER_MANAGEMENT_URL (of the running stack, where they are not set).
    """
    size = ALERTS_FULL if full else ALERTS
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(alerts.run_bench(_servers(), size, hypertable=not plain, tell=say))
    _print(alerts.as_json(result), as_object=as_object)


def _servers() -> BenchServers:
    database = load(DatabaseSettings)
    broker = load(BrokerAdminSettings)
    return BenchServers(
        database.database_url.get_secret_value(),
        broker.broker_url.get_secret_value(),
        broker.broker_management_url.get_secret_value(),
    )


def _print(figures: dict[str, Any], *, as_object: bool) -> None:
    table = Table("figure", "value", box=None)
    table.columns[1].justify = "right"
    for name, value in (figures | (figures.get("full") or {})).items():
        by_kind = value if isinstance(value, dict) and name != "full" else {"": value}
        for kind, figure in by_kind.items():
            if isinstance(figure, int | float) and not isinstance(figure, bool):
                table.add_row(f"{name} {kind}".strip(), f"{figure:,}")
    Console(stderr=True).print(table)
    if as_object:
        print(msgspec.json.encode(figures).decode())
