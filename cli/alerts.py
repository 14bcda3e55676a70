"""`mbus alerts`: `watch` shows alert events as they come, to see that they do; `rebuild` is in a room of its own."""

import asyncio
import json
from typing import Annotated

import aio_pika
import typer

from cli.alerts_rebuild import rebuild_command
from cli.options import duration, printable
from cli.settings import BrokerSettings
from shared import topology
from shared.counted import counted
from shared.messages.alert_events import (
    AlertEvent,
    AlertEventType,
    GatewayAlert,
    InstallationAlert,
    PipelineAlert,
    decode,
)
from shared.settings import load


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    alerts = typer.Typer(no_args_is_help=True, help="Look at the alerts that go out, and mend what they go by.")
    alerts.command("watch")(watch_command)
    alerts.command("rebuild")(rebuild_command)
    app.add_typer(alerts, name="alerts")


def watch_command(
    tenant: Annotated[
        str, typer.Option(metavar="UUID", help="Only this tenant's, or those for `operator`; * is everybody's.")
    ] = "*",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this time, such as 2m, whatever came.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events themselves, one a line.")] = False,
) -> None:
    """Print alert events as the broker of MBUS_BROKER_URL delivers them, until Ctrl-C.

    Events that went out before are not shown: a subscriber that must not miss one has a queue of its own that stays.
    """
    patience = None if wait is None else duration(wait).total_seconds()
    url = load(BrokerSettings).broker_url.get_secret_value()
    try:
        asyncio.run(_watch(url, f"{tenant}.#", count=count, patience_s=patience, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _watch(url: str, pattern: str, *, count: int | None, patience_s: float | None, as_json: bool) -> None:
    connection = await aio_pika.connect_robust(url, timeout=10)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.ALERTS, pattern)
        if not as_json:
            print(f"Watching {topology.ALERTS} for {pattern}; Ctrl-C ends.", flush=True)
        seen = 0
        try:
            async with asyncio.timeout(patience_s), queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    print(json.dumps(json.loads(message.body)) if as_json else _line(decode(message.body)), flush=True)
                    seen += 1
                    if seen == count:
                        return
        except TimeoutError:
            if not as_json:
                print(f"{counted(seen, 'event')} in {patience_s:g} s.")


def _line(event: AlertEvent) -> str:
    # What people wrote into the registry may hold what a terminal obeys.
    return printable(f"{event.time:%Y-%m-%d %H:%M:%SZ}  {event.type:<22}  {_told(event)}")


def _told(event: AlertEvent) -> str:
    match told := event.data:
        case InstallationAlert(last_reading=last):
            value = f"{last.value:g} {told.unit_of_measure}" if last else ""
            heard = f"{value} at {last.timestamp:%Y-%m-%d %H:%M:%SZ}" if last else "never heard"
            return f"{told.medium} meter {told.meter_serial}, {told.property_name}, {told.unit_label}: {heard}"
        case GatewayAlert(last_heard_at=heard_at):
            heard = f"heard at {heard_at:%Y-%m-%d %H:%M:%SZ}" if heard_at else "never heard"
            where = "".join(f", {address}" for address in told.addresses)
            more = told.properties - len(told.addresses)
            where += f" and {counted(more, 'other')}" if more > 0 else ""
            return f"gateway {told.gateway_id} of {counted(told.installations, 'meter')}{where}: {heard}"
        case PipelineAlert():
            is_over = event.type == AlertEventType.PIPELINE_RECOVERED.value
            held = "silence is judged again; it was not since" if is_over else "silence not judged since"
            return f"{held} {told.since:%Y-%m-%d %H:%M:%SZ}: {told.cause}: {told.reason}"
