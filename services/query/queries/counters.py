"""The meters of a place and what their counters showed: what consumption is worked out of."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import asyncpg

from services.query.queries.properties import WITHIN_REACH, reach_arguments
from services.query.rules.chains import Chain, Link, Meter
from services.query.rules.counter import Counter, Part, Shown
from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.models import Medium, UnitOfMeasure
from shared.time_zones import is_time_zone
from shared.units import ratio

USUAL_TIME_ZONE = "Europe/Copenhagen"
ROWS_AT_ONCE = 5000
"""So many are taken from the server at a time: memory does not grow with them, and others are answered in between."""


class Kind(StrEnum):
    """What has consumption."""

    PROPERTY = "property"
    UNIT = "unit"
    INSTALLATION = "installation"


# `$1` and `$2` are the reach, `$3` is which one. The deleted ones are there: what they used stays.
PLACE = f"""
SELECT p.id AS property_id, {{label}} AS unit_label, c.time_zone AS of_property, t.time_zone AS of_tenant
FROM property p JOIN tenant t ON t.id = p.tenant_id LEFT JOIN property_config c ON c.property_id = p.id {{below}}
WHERE {WITHIN_REACH} AND {{is_it}}"""  # noqa: S608 - of constants
UNITS = "JOIN unit u ON u.property_id = p.id"
INSTALLATIONS = f"{UNITS} JOIN meter_installation i ON i.unit_id = u.id AND i.tenant_id = $1"
PLACES = {
    Kind.PROPERTY: PLACE.format(label="NULL", below="", is_it="p.id = $3"),
    Kind.UNIT: PLACE.format(label="u.label", below=UNITS, is_it="u.id = $3"),
    Kind.INSTALLATION: PLACE.format(label="u.label", below=INSTALLATIONS, is_it="i.id = $3"),
}

COLUMNS = "i.id, i.unit_id, i.medium, i.unit_of_measure, i.installed_at, i.deleted_at, i.replaces_id"
METERS = {
    Kind.PROPERTY: f"""
        SELECT {COLUMNS} FROM unit u JOIN meter_installation i ON i.unit_id = u.id
        WHERE i.tenant_id = $1 AND u.property_id = $2""",  # noqa: S608 - of constants
    Kind.UNIT: f"SELECT {COLUMNS} FROM meter_installation i WHERE i.tenant_id = $1 AND i.unit_id = $2",  # noqa: S608
    # With what it replaced in the same flat, what that one did, and so on. `CYCLE`: nothing keeps two from replacing
    # each other.
    Kind.INSTALLATION: f"""
        WITH RECURSIVE i AS (
            SELECT {COLUMNS} FROM meter_installation i WHERE i.tenant_id = $1 AND i.id = $2
            UNION ALL
            SELECT {COLUMNS} FROM i AS next JOIN meter_installation i
                ON i.id = next.replaces_id AND i.unit_id = next.unit_id
            WHERE i.tenant_id = $1
        ) CYCLE id SET is_again USING path
        SELECT {COLUMNS} FROM i WHERE NOT is_again""",  # noqa: S608 - of constants
}

LABELS = "SELECT u.id, u.label FROM unit u WHERE u.property_id = $1"

SHOWED = "SELECT * FROM counters_showed($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, and the zone by whose clocks it lives; a property has no label."""

    property_id: UUID
    unit_label: str
    time_zone: str


async def place_of(connection: Connection, reach: Reach, kind: Kind, id_: UUID) -> Place | None:
    """Where it is, deleted or not; None when there is none within `reach`."""
    row = await connection.fetchrow(PLACES[kind], *reach_arguments(reach), id_)
    if row is None:
        return None
    property_id, unit_label, *zones = row
    known = [zone for zone in zones if zone is not None and is_time_zone(zone)]
    return Place(property_id, unit_label or "", known[0] if known else USUAL_TIME_ZONE)


async def meters_of(connection: Connection, reach: Reach, kind: Kind, id_: UUID) -> list[Meter]:
    """The meters of what was found within `reach`, the deleted ones too; of an installation what it may continue."""
    return [_meter(row) for row in await connection.fetch(METERS[kind], reach.tenant_id, id_)]


async def unit_labels(connection: Connection, property_id: UUID) -> dict[UUID, str]:
    """The units of a property that was found within reach, the deleted ones too."""
    return dict(map(tuple, await connection.fetch(LABELS, property_id)))


async def counters(
    connection: Connection,
    reach: Reach,
    chains: Sequence[Chain],
    units: Sequence[UnitOfMeasure],
    edges: Sequence[datetime],
    *,
    longest_gap: timedelta,
) -> AsyncGenerator[Counter, None]:
    """A counter of each chain in turn, in the unit that stands for it in `units`; good for `edges` and no others."""
    links = [link for chain in chains for link in chain]
    shown = _shown(connection, reach, links, edges)
    for chain, unit in zip(chains, units, strict=True):
        yield Counter(
            [
                Part(
                    await anext(shown),
                    ratio(link.meter.unit_of_measure, unit),
                    resets=link.meter.medium is Medium.HEAT_COST_ALLOCATOR,
                )
                for link in chain
            ],
            longest_gap=longest_gap,
        )


async def _shown(
    connection: Connection, reach: Reach, links: Sequence[Link], edges: Sequence[datetime]
) -> AsyncGenerator[list[Shown], None]:
    """What each link's meter showed, as far as it matters between `edges`, by time; each row has what was before it."""
    cursor = await connection.cursor(
        SHOWED,
        *reach_arguments(reach),
        [link.meter.id for link in links],
        [link.since for link in links],
        [link.until for link in links],
        edges,
    )
    of_place, shown = 1, list[Shown]()
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        for place, at_before, micros_before, at, micros in rows:
            while of_place < place:
                yield shown
                of_place, shown = of_place + 1, []
            if at_before is not None and at_before != shown[-1].at:
                shown.append(Shown(at_before, micros_before))
            shown.append(Shown(at, micros))
    while of_place <= len(links):
        yield shown
        of_place, shown = of_place + 1, []


def _meter(row: asyncpg.Record) -> Meter:
    columns = dict(row)
    medium, unit = Medium(columns.pop("medium")), UnitOfMeasure(columns.pop("unit_of_measure"))
    return Meter(**columns, medium=medium, unit_of_measure=unit)
