"""The meters of a place and what their counters showed: what consumption is worked out of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import asyncpg

from services.query.queries.properties import WITHIN_REACH, reach_arguments
from services.query.rules.chains import Chain, Meter
from services.query.rules.counter import Counter, Part, Shown
from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.models import Medium, UnitOfMeasure
from shared.time_zones import is_time_zone
from shared.units import ratio

USUAL_TIME_ZONE = "Europe/Copenhagen"

PLACE = f"""
SELECT p.id AS property_id, c.time_zone AS of_property, t.time_zone AS of_tenant
FROM property p JOIN tenant t ON t.id = p.tenant_id LEFT JOIN property_config c ON c.property_id = p.id {{joined}}
WHERE {WITHIN_REACH} AND {{is_it}}"""  # noqa: S608 - of constants

PLACE_OF_INSTALLATION = PLACE.format(
    joined="JOIN unit u ON u.property_id = p.id JOIN meter_installation i ON i.unit_id = u.id AND i.tenant_id = $1",
    is_it="i.id = $3",
)

# What it replaced in the same flat, and what that one did, and so on. `CYCLE`: nothing keeps two from replacing each
# other.
METERS_BEFORE = """
WITH RECURSIVE it AS (
    SELECT i.id, i.unit_id, i.medium, i.unit_of_measure, i.installed_at, i.deleted_at, i.replaces_id
    FROM meter_installation i WHERE i.tenant_id = $1 AND i.id = $2
    UNION ALL
    SELECT i.id, i.unit_id, i.medium, i.unit_of_measure, i.installed_at, i.deleted_at, i.replaces_id
    FROM it JOIN meter_installation i ON i.id = it.replaces_id AND i.unit_id = it.unit_id
    WHERE i.tenant_id = $1
) CYCLE id SET is_again USING path
SELECT id, unit_id, medium, unit_of_measure, installed_at, deleted_at, replaces_id FROM it WHERE NOT is_again"""

SHOWED = "SELECT * FROM counters_showed($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True)
class Place:
    """A property, or something in it, with the zone by whose clocks it lives."""

    property_id: UUID
    time_zone: str


async def place_of_installation(connection: Connection, reach: Reach, installation_id: UUID) -> Place | None:
    """Where the installation is, deleted or not; None when there is none within `reach`."""
    row = await connection.fetchrow(PLACE_OF_INSTALLATION, *reach_arguments(reach), installation_id)
    if row is None:
        return None
    zones = (row["of_property"], row["of_tenant"])
    return Place(
        row["property_id"], next((zone for zone in zones if zone is not None and is_time_zone(zone)), USUAL_TIME_ZONE)
    )


async def meters_before(connection: Connection, reach: Reach, installation_id: UUID) -> list[Meter]:
    """The installation, and those that it may continue; it has been found within `reach`."""
    rows = await connection.fetch(METERS_BEFORE, reach.tenant_id, installation_id)
    return [_meter(row) for row in rows]


async def counters(
    connection: Connection,
    reach: Reach,
    chains: Iterable[tuple[Chain, UnitOfMeasure]],
    edges: Sequence[datetime],
    *,
    longest_gap: timedelta,
) -> list[Counter]:
    """A counter of each chain in the unit beside it, good for `edges` and no others."""
    chains = list(chains)
    links = [link for chain, _ in chains for link in chain]
    rows = await connection.fetch(
        SHOWED,
        *reach_arguments(reach),
        [link.meter.id for link in links],
        [link.since for link in links],
        [link.until for link in links],
        edges,
    )
    shown = {place: _shown(of_link) for place, of_link in groupby(rows, itemgetter(0))}
    place = 0
    found = []
    for chain, unit in chains:
        parts = []
        for link in chain:
            place += 1
            meter = link.meter
            parts.append(
                Part(
                    shown.get(place, ()),
                    ratio(meter.unit_of_measure, unit),
                    resets=meter.medium is Medium.HEAT_COST_ALLOCATOR,
                )
            )
        found.append(Counter(parts, longest_gap=longest_gap))
    return found


def _meter(row: asyncpg.Record) -> Meter:
    columns = dict(row)
    medium, unit = Medium(columns.pop("medium")), UnitOfMeasure(columns.pop("unit_of_measure"))
    return Meter(**columns, medium=medium, unit_of_measure=unit)


def _shown(rows: Iterable[asyncpg.Record]) -> list[Shown]:
    """The readings of one meter that are in `rows`, each with the one before it."""
    shown: list[Shown] = []
    for _, at_before, micros_before, at, micros in rows:
        if at_before is not None and at_before != shown[-1].at:
            shown.append(Shown(at_before, micros_before))
        shown.append(Shown(at, micros))
    return shown
