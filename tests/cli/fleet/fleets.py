"""Simulated meters and fleets for tests."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from cli.fleet.consumption import DAY_S, HABITS
from cli.fleet.fleet import build_fleet
from cli.fleet.gateways import Gateway, Ticks
from cli.fleet.layout import Layout
from cli.fleet.meters import Meter, MeterPlate, consumption_of
from shared.models import Medium, UnitOfMeasure

NOW = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
INSTALLED = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
WEEK = Ticks(NOW - 7 * DAY_S, 3_600, 7 * 24)
LAYOUT = Layout("fleet", gateways=3, meters=12, seed=1)


def fleet(layout: Layout = LAYOUT, *, silent_gateways: Mapping[str, float] | None = None) -> list[Gateway]:
    return build_fleet(layout.plates(), seed=layout.seed, silent_gateways=silent_gateways or {}, silent_meters={})


def gateway(medium: Medium = Medium.HEAT, unit: UnitOfMeasure | None = None, heard_until: float = math.inf) -> Gateway:
    """A gateway with one meter."""
    plate = MeterPlate(uuid4(), "71440145", medium, unit or HABITS[medium].unit, INSTALLED)
    return Gateway("GW-1", [Meter(plate, seed=1, consumption=consumption_of(1), heard_until=heard_until)])
