"""Puts a fleet together: gateways with meters that live, and some of them silent."""

import math
from collections.abc import Mapping

from cli.fleet.gateways import Gateway
from cli.fleet.meters import Meter, consumption_of
from cli.fleet.silences import Plates


def build_fleet(
    plates: Plates,
    *,
    seed: int,
    silent_gateways: Mapping[str, float],
    silent_meters: Mapping[str, float],
) -> list[Gateway]:
    """The gateways of `plates`; the silent ones are heard until the second that is given for their id or serial.

    Every other gateway names its meters by serial, as gateways do that were never told of installations.
    """
    consumption = consumption_of(seed)
    return [
        Gateway(
            gateway_id,
            [
                Meter(
                    plate,
                    seed=seed,
                    consumption=consumption,
                    heard_until=min(
                        silent_gateways.get(gateway_id, math.inf), silent_meters.get(plate.serial, math.inf)
                    ),
                )
                for plate in of_gateway
            ],
            names_serials=number % 2 == 1,
        )
        for number, (gateway_id, of_gateway) in enumerate(plates.items())
    ]
