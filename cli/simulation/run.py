"""One run of the simulator: the registry, the history, the check, and the present."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CommandError
from cli.fleet.fleet import build_fleet
from cli.fleet.gateways import Gateway, Ticks
from cli.fleet.layout import Layout
from cli.fleet.schedule import history
from cli.fleet.silences import Plates, Silence, silence_gateways, silence_meters
from cli.publisher import GatewayPublisher
from cli.simulation.progress import say, shown
from cli.simulation.registration import register_fleet, registered_fleet
from cli.simulation.sending import Tally, follow, send_history
from cli.simulation.verifying import verify
from shared.clock import Clock
from shared.counted import counted
from shared.database import open_engine

PATIENCE_S = 60.0
"""How long a history waits for a broker that is away; the present waits for ever."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What to simulate; `of_gateways` of an existing fleet, all of it where that is empty.

    `follow_every_s` is None when nothing comes after the history.
    """

    layout: Layout
    existing: bool
    of_gateways: Sequence[str]
    days: int
    interval_s: int
    rate: float | None
    retransmit: float
    late: float
    readings_per_message: int
    silent_gateways: Sequence[Silence]
    silent_meters: Sequence[Silence]
    verify: bool
    follow_every_s: int | None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a history came to."""

    gateways: int
    meters: int
    ticks: Ticks
    tally: Tally
    seconds: float


async def run(
    simulation: Simulation, *, database_url: str, broker_url: str, clock: Clock, report: Callable[[Sent], None]
) -> None:
    """Register the fleet, send its history, and `report` it; then, where that was asked for, go on with the present."""
    patience_s = None if simulation.follow_every_s else PATIENCE_S
    async with GatewayPublisher(broker_url, patience_s=patience_s, tell=say) as publisher:
        async with open_engine(database_url, application_name="mbus-simulate") as engine:
            gateways = await _fleet(engine, simulation, clock)
            if simulation.days:
                report(await _run_history(simulation, gateways, publisher, engine, _ticks(simulation, clock)))
            elif not simulation.follow_every_s:
                say(f"{counted(len(gateways), 'gateway')}, and nothing to send: no days of history, and no --follow")
        if simulation.follow_every_s:
            say(f"from now on {counted(len(gateways), 'gateway')} every {simulation.follow_every_s} s")
            await follow(
                publisher,
                gateways,
                every_s=simulation.follow_every_s,
                readings_per_message=simulation.readings_per_message,
                clock=clock,
            )


async def _run_history(
    simulation: Simulation, gateways: Sequence[Gateway], publisher: GatewayPublisher, engine: AsyncEngine, ticks: Ticks
) -> Sent:
    installations = [meter.plate.installation_id for gateway in gateways for meter in gateway.meters]
    batches = history(
        gateways,
        ticks,
        readings_per_message=simulation.readings_per_message,
        retransmit=simulation.retransmit,
        late=simulation.late,
        seed=simulation.layout.seed,
    )
    tally = Tally()
    begun = time.monotonic()
    try:
        with shown("sent", ticks.count * len(installations)) as advance:
            await send_history(publisher, batches, ticks, rate=simulation.rate, tally=tally, advance=advance)
        seconds = time.monotonic() - begun
        if simulation.verify:
            await verify(engine, installations, ticks, tally.readings)
    except asyncio.CancelledError:
        say(f"interrupted: {counted(tally.readings, 'distinct reading')} sent in {counted(tally.messages, 'message')}")
        raise
    return Sent(gateways=len(gateways), meters=len(installations), ticks=ticks, tally=tally, seconds=seconds)


async def _fleet(engine: AsyncEngine, simulation: Simulation, clock: Clock) -> list[Gateway]:
    layout = simulation.layout
    plates: Plates
    if simulation.existing:
        plates = await registered_fleet(engine, layout.tenant, simulation.of_gateways)
    else:
        plates = await register_fleet(engine, layout, clock=clock)
    try:
        return build_fleet(
            plates,
            seed=layout.seed,
            silent_gateways=silence_gateways(plates, simulation.silent_gateways),
            silent_meters=silence_meters(plates, simulation.silent_meters),
        )
    except ValueError as error:
        raise CommandError(str(error)) from None


def _ticks(simulation: Simulation, clock: Clock) -> Ticks:
    """Full intervals, the last of which is not ahead of now."""
    step = simulation.interval_s
    count = simulation.days * 86_400 // step
    last = int(clock().timestamp()) // step * step
    return Ticks(last - (count - 1) * step, step, count)
