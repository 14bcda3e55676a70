"""The transitions that alerts makes: what brings one about, the steps on its way, and what is so afterwards."""

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from shared.messages.alert_events import AlertEventType
from shared.messages.cloudevents import CloudEvent
from shared.messages.readings_stored import SOURCE, TYPE, encode
from tests.services.alerts.standing import change, hear_gateway, heard, long_registered, rows, store, tick
from tests.support.messages import publish_event
from tests.support.registry import create_building
from tests.support.vhosts import Vhost
from tests.support.wire import BASIC_PUBLISH, Moment

METERS = 5
GATEWAYS = 3

Step = list[bytes | Moment]
"""What is seen on the way, one after the other."""

PUBLISH = struct.pack(">HHH", *BASIC_PUBLISH, 0) + b"\x06alerts"
"""The beginning of a frame that publishes on the exchange `alerts`."""

PUBLISHING: dict[str, Step] = {
    "before it is published": [PUBLISH],
    "when it is published": [Moment.AFTER_PUBLISH],
}


@dataclass(frozen=True)
class Transition:
    """What comes about when all is arranged, and the steps on the way, in their order.

    `event` tells of each of `number` subjects. Afterwards `standing`, a query, finds the one row `stands`. What happens
    in the same way in all transitions, to an event above all, has all its steps in the first only.
    """

    arrange: Callable[[AsyncEngine, Vhost], Awaitable[None]]
    steps: dict[str, Step]
    event: AlertEventType
    number: int
    standing: str
    stands: tuple[object, ...]


async def meters_are_not_heard(engine: AsyncEngine, _: Vhost) -> None:
    """Though their gateway is."""
    at = datetime.now(UTC)
    building = await create_building(engine, meters=METERS)
    await long_registered(engine, at)
    await hear_gateway(engine, building.gateway_id, at)


async def stale_meters_are_heard(engine: AsyncEngine, vhost: Vhost) -> None:
    """As ingest stores and tells it; one event for each."""
    at = datetime.now(UTC)
    building = await create_building(engine, meters=METERS)
    await long_registered(engine, at)
    await hear_gateway(engine, building.gateway_id, at)
    await _judged_and_told(engine, at)
    for number, installation in enumerate(building.installation_ids):
        await store(engine, installation, [at])
        event = CloudEvent(id=f"{number}", source=SOURCE, type=TYPE, time=at, data=heard(building, at, number=number))
        await publish_event(vhost.url, topology.readings_stored_key(building.tenant_id), encode(event))


async def gateways_are_not_heard(engine: AsyncEngine, _: Vhost) -> None:
    """Nor are their meters."""
    for _number in range(GATEWAYS):
        await create_building(engine, meters=2)
    await long_registered(engine, datetime.now(UTC))


async def silent_gateways_are_heard(engine: AsyncEngine, vhost: Vhost) -> None:
    """Their meters are not, as yet."""
    await gateways_are_not_heard(engine, vhost)
    await _judged_and_told(engine, datetime.now(UTC))
    for (gateway_id,) in await rows(engine, "SELECT gateway_id FROM gateway_status"):
        await hear_gateway(engine, gateway_id, datetime.now(UTC))


async def _judged_and_told(engine: AsyncEngine, at: datetime) -> None:
    """What was found before."""
    await tick(engine, at)
    await change(engine, "UPDATE delivery SET delivered_at = now()")


TRANSITIONS = {
    "meters fall stale": Transition(
        meters_are_not_heard,
        {
            "before the alert is written": [b"INSERT INTO alert"],
            "before the state is written": [b"UPDATE installation_status AS status"],
            "before the event is written": [b"INSERT INTO delivery"],
            "before the commit": [b"INSERT INTO delivery", b"COMMIT;"],
            "when it has committed": [b"INSERT INTO delivery", b"COMMIT;", b"COMMIT\x00"],
            "before the event is claimed": [b"UPDATE delivery SET next_attempt_at"],
            **PUBLISHING,
            "before it is marked": [b"UPDATE delivery SET delivered_at"],
            "when it is marked": [b"UPDATE delivery SET delivered_at", b"COMMIT\x00"],
        },
        AlertEventType.INSTALLATION_STALE,
        METERS,
        "SELECT DISTINCT state, s.alert_id = a.id, closed_at, due_at"
        " FROM installation_status s LEFT JOIN alert a USING (installation_id)",
        ("stale", True, None, None),
    ),
    "meters are back": Transition(
        stale_meters_are_heard,
        {
            "before the alert is closed": [b"UPDATE alert SET"],
            "before the commit": [b"INSERT INTO delivery", b"COMMIT;"],
            "when it has committed, before it acknowledges": [b"INSERT INTO delivery", b"COMMIT;", b"COMMIT\x00"],
            **PUBLISHING,
        },
        AlertEventType.INSTALLATION_RECOVERED,
        METERS,
        "SELECT DISTINCT state, s.alert_id, closed_because"
        " FROM installation_status s LEFT JOIN alert USING (installation_id)",
        ("fresh", None, "heard"),
    ),
    "gateways fall silent": Transition(
        gateways_are_not_heard,
        {
            "before the state is written": [b"UPDATE gateway_status SET"],
            "before the commit": [b"INSERT INTO delivery", b"COMMIT;"],
            "before their meters are judged": [b"INSERT INTO delivery", b"COMMIT;", b"COMMIT\x00"],
            **PUBLISHING,
        },
        AlertEventType.GATEWAY_SILENT,
        GATEWAYS,
        "SELECT DISTINCT g.state, a.id = g.alert_id AND a.closed_at IS NULL, m.state, m.alert_id, m.due_at"
        " FROM gateway_status g LEFT JOIN alert a USING (gateway_id) JOIN meter_installation i USING (gateway_id)"
        " JOIN installation_status m ON m.installation_id = i.id",
        ("silent", True, "stale", None, None),
    ),
    "gateways are back": Transition(
        silent_gateways_are_heard,
        {
            "before their meters are judged afresh": [b"SET judged_from"],
            "before the commit": [b"SET judged_from", b"COMMIT;"],
            "when it has committed": [b"SET judged_from", b"COMMIT;", b"COMMIT\x00"],
            **PUBLISHING,
        },
        AlertEventType.GATEWAY_RECOVERED,
        GATEWAYS,
        "SELECT DISTINCT g.state, g.alert_id, closed_because, m.state, m.alert_id, m.judged_from >= h.heard_at,"
        " m.due_at = m.judged_from + interval '48 hours'"
        " FROM gateway_status g JOIN gateway_heard h USING (gateway_id) LEFT JOIN alert a USING (gateway_id)"
        " JOIN meter_installation i USING (gateway_id) JOIN installation_status m ON m.installation_id = i.id",
        ("heard", None, "heard", "stale", None, True, True),
    ),
}
