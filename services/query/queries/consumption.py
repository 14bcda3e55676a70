"""Consumption of installations, units and properties: read in one pass, worked out by the rules."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from services.query.database import QueryDatabase
from services.query.queries.consumption_answers import (
    Consumption,
    ConsumptionInBucket,
    ConsumptionOfInstallation,
    ConsumptionOfMedium,
    ConsumptionOfProperty,
    ConsumptionOfUnit,
    SumInBucket,
    SumOfConsumption,
)
from services.query.queries.counters import Kind, counters, meters_of, place_of, unit_labels
from services.query.rules.calendar import Bucket
from services.query.rules.chains import Meter, chain_of, chains_of
from services.query.rules.counter import MICRO, Amount, Flag
from services.query.rules.period import Period
from services.query.rules.sums import Sum, Sums
from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.models import Medium, UnitOfMeasure
from shared.units import units_like

MOST_BUCKETS = 10_000
"""A year has 8,784 hours."""
MOST_IN_ALL = 100_000
"""Of several meters there may be so many together: of 100 by hour for a month, of 1000 by day for a quarter."""

TOGETHER = (UnitOfMeasure.KWH, UnitOfMeasure.CUBIC_METRE, UnitOfMeasure.HCA)
"""What is summed is in the first of these that it converts to."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: buckets of a period by the clocks of a zone, or of that of the place."""

    period: Period
    zone: ZoneInfo | None
    longest_gap: timedelta
    now: datetime

    def zone_in(self, time_zone: str) -> ZoneInfo:
        """The zone for a place that lives by that one."""
        return self.zone or ZoneInfo(time_zone)


async def consumption_of_installation(
    database: QueryDatabase, *, reach: Reach, installation_id: UUID, wanted: Wanted
) -> ConsumptionOfInstallation | None:
    """What the installation and those before it counted, or None when it is not within `reach`.

    Raises `PeriodError`.
    """
    async with database.driver_within(reach) as connection:
        place = await place_of(connection, reach, Kind.INSTALLATION, installation_id)
        if place is None:
            return None
        zone = wanted.zone_in(place.time_zone)
        edges = wanted.period.edges(zone, now=wanted.now, most=MOST_BUCKETS)
        meters = await meters_of(connection, reach, Kind.INSTALLATION, installation_id)
        (meter,) = (meter for meter in meters if meter.id == installation_id)
        chain, unit = chain_of(meter, meters), meter.unit_of_measure
        of_one = counters(connection, reach, [chain], [unit], edges, longest_gap=wanted.longest_gap)
        async with aclosing(of_one):
            counter = await anext(of_one)
    (total,), amounts = counter.between([edges[0], edges[-1]]), counter.between(edges)
    return ConsumptionOfInstallation(
        *_period(wanted, zone, edges),
        installation_id,
        meter.medium,
        unit,
        Consumption(*_told(total)),
        [ConsumptionInBucket(*span, *_told(amount)) for span, amount in zip(pairwise(edges), amounts, strict=True)],
    )


async def consumption_of_unit(
    database: QueryDatabase, *, reach: Reach, unit_id: UUID, wanted: Wanted
) -> ConsumptionOfUnit | None:
    """What the meters of the unit counted, or None when it is not within `reach`. Raises `PeriodError`."""
    async with database.driver_within(reach) as connection:
        place = await place_of(connection, reach, Kind.UNIT, unit_id)
        if place is None:
            return None
        zone = wanted.zone_in(place.time_zone)
        meters = await meters_of(connection, reach, Kind.UNIT, unit_id)
        edges, series = await _series(
            connection, reach, meters, wanted=wanted, zone=zone, labels={unit_id: place.unit_label}
        )
    return ConsumptionOfUnit(*_period(wanted, zone, edges), place.property_id, unit_id, place.unit_label, series)


async def consumption_of_property(
    database: QueryDatabase, *, reach: Reach, property_id: UUID, wanted: Wanted, each_unit: bool
) -> ConsumptionOfProperty | None:
    """What the meters of the property counted, of `each_unit` by itself or together; None when it is not in `reach`.

    Raises `PeriodError`.
    """
    async with database.driver_within(reach) as connection:
        place = await place_of(connection, reach, Kind.PROPERTY, property_id)
        if place is None:
            return None
        zone = wanted.zone_in(place.time_zone)
        meters = await meters_of(connection, reach, Kind.PROPERTY, property_id)
        labels = await unit_labels(connection, property_id) if each_unit else None
        edges, series = await _series(connection, reach, meters, wanted=wanted, zone=zone, labels=labels)
    return ConsumptionOfProperty(*_period(wanted, zone, edges), property_id, series)


async def _series(
    connection: Connection,
    reach: Reach,
    meters: Sequence[Meter],
    *,
    wanted: Wanted,
    zone: ZoneInfo,
    labels: Mapping[UUID, str] | None,
) -> tuple[Sequence[datetime], list[ConsumptionOfMedium]]:
    """The edges, and what the meters counted: by medium and quantity, and by unit where these have `labels`."""
    chains = chains_of(meters)
    edges = wanted.period.edges(zone, now=wanted.now, most=min(MOST_BUCKETS, MOST_IN_ALL // max(len(chains), 1)))
    whole = [edges[0], edges[-1]]
    sums: dict[_Key, tuple[Sums, Sums]] = defaultdict(lambda: (Sums(whole), Sums(edges)))
    keys = [_key(chain[-1].meter, labels) for chain in chains]
    units = [key.unit_of_measure for key in keys]
    found = counters(connection, reach, chains, units, edges, longest_gap=wanted.longest_gap)
    async with aclosing(found):
        for key, chain in zip(keys, chains, strict=True):
            counter = await anext(found)
            total, buckets = sums[key]
            total.add(chain, counter.between(whole))
            buckets.add(chain, counter.between(edges))
            await asyncio.sleep(0)  # of many meters by the hour it is a second's work: others are answered in between
    return edges, [
        _of_medium(key, total.buckets[0], zip(pairwise(edges), buckets.buckets, strict=True))
        for key, (total, buckets) in sorted(sums.items(), key=itemgetter(0))
        if total.buckets[0].meters
    ]


class _Key(NamedTuple):
    """What is summed together; sorted as it is answered."""

    unit_label: str
    unit_id: UUID | None
    medium: Medium
    unit_of_measure: UnitOfMeasure


def _key(meter: Meter, labels: Mapping[UUID, str] | None) -> _Key:
    together = next(unit for unit in TOGETHER if unit.lower() in units_like(meter.unit_of_measure))
    if labels is None:
        return _Key("", None, meter.medium, together)
    return _Key(labels[meter.unit_id], meter.unit_id, meter.medium, together)


def _of_medium(key: _Key, total: Sum, buckets: Iterable[tuple[tuple[datetime, datetime], Sum]]) -> ConsumptionOfMedium:
    return ConsumptionOfMedium(
        key.unit_id,
        None if key.unit_id is None else key.unit_label,
        key.medium,
        key.unit_of_measure,
        SumOfConsumption(*_told(total.amount), total.meters, total.unknown),
        [SumInBucket(*span, *_told(one.amount), one.meters, one.unknown) for span, one in buckets],
    )


def _period(
    wanted: Wanted, zone: ZoneInfo, edges: Sequence[datetime]
) -> tuple[Bucket, str, datetime, datetime, timedelta]:
    return wanted.period.bucket, zone.key, edges[0], edges[-1], wanted.longest_gap


def _told(amount: Amount) -> tuple[float | None, list[Flag]]:
    return None if amount.micros is None else amount.micros / MICRO, sorted(amount.flags)
