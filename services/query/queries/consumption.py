"""Consumption of installations, units and properties: read in one pass, worked out by the rules."""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.query.database import QueryDatabase
from services.query.queries.consumption_answers import Consumption, ConsumptionInBucket, ConsumptionOfInstallation
from services.query.queries.counters import counters, meters_before, place_of_installation
from services.query.rules.chains import chain_of
from services.query.rules.counter import MICRO, Amount
from services.query.rules.period import Period
from shared.http.reach import Reach

MOST_BUCKETS = 10_000


async def consumption_of_installation(
    database: QueryDatabase,
    *,
    reach: Reach,
    installation_id: UUID,
    period: Period,
    zone: ZoneInfo | None,
    longest_gap: timedelta,
    now: datetime,
) -> ConsumptionOfInstallation | None:
    """What the installation and those before it counted, or None when it is not within `reach`.

    Raises `PeriodError`.
    """
    async with database.driver_within(reach) as connection:
        place = await place_of_installation(connection, reach, installation_id)
        if place is None:
            return None
        zone = zone or ZoneInfo(place.time_zone)
        edges = period.edges(zone, now=now, most=MOST_BUCKETS)
        meters = await meters_before(connection, reach, installation_id)
        meter = next(meter for meter in meters if meter.id == installation_id)
        chain = chain_of(meter, meters)
        (counter,) = await counters(connection, reach, [(chain, meter.unit_of_measure)], edges, longest_gap=longest_gap)
    (total,) = counter.between([edges[0], edges[-1]])
    return ConsumptionOfInstallation(
        bucket=period.bucket,
        time_zone=zone.key,
        start=edges[0],
        end=edges[-1],
        longest_gap=longest_gap,
        installation_id=installation_id,
        medium=meter.medium,
        unit_of_measure=meter.unit_of_measure,
        total=Consumption(_in_units(total), sorted(total.flags)),
        buckets=[
            ConsumptionInBucket(start, end, _in_units(amount), sorted(amount.flags))
            for start, end, amount in zip(edges, edges[1:], counter.between(edges), strict=False)
        ],
    )


def _in_units(amount: Amount) -> float | None:
    return None if amount.micros is None else amount.micros / MICRO
