"""`mbus simulate`: a fleet of gateways and meters that publishes as real ones do."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from cli.fleet.layout import LONGEST_HISTORY_DAYS, LONGEST_TENANT, Layout
from cli.fleet.silences import Silence, parse_silence
from cli.options import duration
from cli.settings import BrokerSettings, DatabaseSettings
from cli.simulation.progress import say
from cli.simulation.run import Sent, Simulation, run
from shared.clock import utc_now
from shared.counted import counted
from shared.registry.cells import slug
from shared.settings import load

MOST_METERS = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate_command)


def _tenant(text: str) -> str:
    try:
        return slug(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


def _silence(text: str) -> Silence:
    try:
        return parse_silence(text, now=utc_now())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def _seconds(text: str) -> int:
    return int(duration(text).total_seconds())


def simulate_command(
    *,
    gateways: Annotated[int, typer.Option(min=1, max=9_999, help="How many gateways.")] = 10,
    meters: Annotated[int, typer.Option(min=1, max=10_000, help="How many meters each gateway hears.")] = 20,
    days: Annotated[
        int, typer.Option(min=0, max=LONGEST_HISTORY_DAYS, help="How long a history to send, which ends now.")
    ] = 7,
    interval: Annotated[
        int, typer.Option(parser=_seconds, metavar="DURATION", help="Time between a meter's readings.")
    ] = "1h",  # type: ignore[assignment]  # typer parses the default as if it had been typed
    tenant: Annotated[str, typer.Option(parser=_tenant, metavar="SLUG", help="Whose fleet it is.")] = "fleet",
    existing: Annotated[
        bool, typer.Option("--existing", help="Run the tenant's registered meters instead of a fleet of its own.")
    ] = False,
    of_gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway",
            metavar="ID",
            help="With --existing: only the meters that this gateway is expected to hear. Can be given several times.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, metavar="READINGS/S", help="Send no faster; else as fast as it goes.")
    ] = None,
    retransmit: Annotated[float, typer.Option(min=0, max=1, help="Share of batches that is sent again.")] = 0.05,
    late: Annotated[
        float, typer.Option(min=0, max=1, help="Share of batches that is held back and sent at the end.")
    ] = 0.02,
    silent_gateway: Annotated[
        list[Silence] | None,
        typer.Option(
            parser=_silence,
            metavar="WHO[@WHEN]",
            help="A gateway (id, or number from 1) that falls silent, such as 3@2d (two days ago) or"
            " 3@2026-11-01T00:00:00Z; without WHEN it is never heard. Can be given several times.",
        ),
    ] = None,
    silent_meter: Annotated[
        list[Silence] | None,
        typer.Option(
            parser=_silence,
            metavar="WHO[@WHEN]",
            help="A meter (serial, or gateway number/meter number such as 2/17) that falls silent.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=9_999, help="Another seed is another fleet.")] = 1,
    readings_per_message: Annotated[int, typer.Option(min=1, max=20_000, help="How large the batches are.")] = 150,
    verify: Annotated[
        bool, typer.Option("--verify", help="Wait until the database holds exactly what was sent; fail otherwise.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="After the history go on in real time, until SIGTERM or Ctrl-C.")
    ] = False,
    every: Annotated[
        int, typer.Option(parser=_seconds, metavar="DURATION", help="With --follow: time between batches.")
    ] = "30s",  # type: ignore[assignment]  # typer parses the default as if it had been typed
    as_json: Annotated[bool, typer.Option("--json", help="Print what was sent as one JSON object, on stdout.")] = False,
) -> None:
    """Simulate a fleet: gateways that publish what their meters of all media showed, in batches.

    The fleet is registered first, in the database of MBUS_DATABASE_URL; the readings go through the broker of
    MBUS_BROKER_URL. The same seed gives the same meters and the same readings, so a history can be sent twice.
    """
    if of_gateway and not existing:
        raise typer.BadParameter("goes with --existing only", param_hint="--gateway")
    if not existing and len(tenant) > LONGEST_TENANT:
        raise typer.BadParameter(f"is longer than {LONGEST_TENANT} characters", param_hint="--tenant")
    if gateways * meters > MOST_METERS:
        raise typer.BadParameter(f"more than {MOST_METERS:,} meters in all", param_hint="--meters")
    if days and interval > days * 86_400:
        raise typer.BadParameter("is longer than the history", param_hint="--interval")
    simulation = Simulation(
        layout=Layout(tenant, gateways, meters, seed),
        existing=existing,
        of_gateways=of_gateway or (),
        days=days,
        interval_s=interval,
        rate=rate,
        retransmit=retransmit,
        late=late,
        readings_per_message=readings_per_message,
        silent_gateways=silent_gateway or (),
        silent_meters=silent_meter or (),
        verify=verify,
        follow_every_s=every if follow else None,
    )
    running = run(
        simulation,
        database_url=load(DatabaseSettings).database_url.get_secret_value(),
        broker_url=load(BrokerSettings).broker_url.get_secret_value(),
        clock=utc_now,
        report=lambda sent: _report(sent, simulation, as_json=as_json),
    )
    asyncio.run(_until_told(running) if follow else running)


async def _until_told(running: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, which are the ways to end a simulator that follows."""
    task = asyncio.create_task(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
        return
    say("stopped")


def _report(sent: Sent, simulation: Simulation, *, as_json: bool) -> None:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (sent.ticks.first, sent.ticks.last))
    tally = sent.tally
    if as_json:
        result = {
            "tenant": simulation.layout.tenant,
            "gateways": sent.gateways,
            "meters": sent.meters,
            "first_timestamp": first,
            "last_timestamp": last,
            **asdict(tally),
            "seconds": round(sent.seconds, 3),
            "verified": simulation.verify,
        }
        print(msgspec.json.encode(result).decode(), flush=True)
        return
    fleet = f"{counted(sent.gateways, 'gateway')}, {counted(sent.meters, 'meter')}"
    print(f"{fleet}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
    print(f"{counted(tally.readings, 'distinct reading')} in {timedelta(seconds=round(sent.seconds))}", end="")
    print(f" ({tally.readings / max(sent.seconds, 0.001):,.0f}/s), {counted(tally.messages, 'message')}")
    print(f"  sent again: {_share(tally.retransmitted_readings, tally.retransmitted_messages)}")
    print(f"  sent late:  {_share(tally.late_readings, tally.late_messages)}")
    if simulation.verify:
        print("All of them are in the database, each once.")


def _share(readings: int, messages: int) -> str:
    return f"{counted(readings, 'reading')} in {counted(messages, 'message')}"
