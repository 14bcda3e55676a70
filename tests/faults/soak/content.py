"""What is sent in a soak: all of it follows from the number of the message, so that nobody has to remember it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared import topology
from tests.faults.ledger import Sent
from tests.support.registry import Building

READINGS = 150
"""A message."""
METERS = 250
"""A gateway."""
FIRST = datetime(2024, 2, 1, tzinfo=UTC)
BAD_EVERY = 50
NO_MESSAGE_EVERY = 97


@dataclass(frozen=True)
class Content:
    """Messages by their number. They go round the gateways; each has the next readings of its gateway's meters."""

    buildings: list[Building]

    def message(self, number: int, *, corrected: bool = False) -> Sent:
        """A message of good readings, in every `BAD_EVERY`th of them one bad one more."""
        gateway, part = number % len(self.buildings), number // len(self.buildings)
        building = self.buildings[gateway]
        readings = [
            {
                "installation_id": str(building.installation_ids[n % METERS]),
                "timestamp": (FIRST + timedelta(hours=n // METERS)).isoformat(),
                "value": value(n, corrected=corrected),
            }
            for n in range(part * READINGS, (part + 1) * READINGS)
        ]
        if number % BAD_EVERY == 0:
            readings.append({"installation_id": str(building.installation_ids[0]), "n": number})
        body = json.dumps({"gateway_id": building.gateway_id, "readings": readings}).encode()
        return Sent(topology.gateway_readings_key(building.gateway_id), body)

    def no_message(self, number: int) -> Sent:
        """What is no message at all."""
        return Sent(topology.gateway_readings_key(self.buildings[0].gateway_id), b"no message %d" % number)

    def around(self, number: int) -> Iterator[Sent]:
        """All that is sent under a number: a message, and sometimes what is none."""
        yield self.message(number)
        if number % NO_MESSAGE_EVERY == 0:
            yield self.no_message(number)

    def parts(self, messages: int, gateway: int) -> int:
        """How many of the first `messages` are of a gateway."""
        return len(range(gateway, messages, len(self.buildings)))


def value(n: int, *, corrected: bool) -> int:
    """What the n-th reading of a gateway shows."""
    return n * 7919 % 1_000_003 + (1_000_003 if corrected else 0)


VALUE = "(n * 7919 % 1000003)"
"""The same in SQL, not corrected."""
CORRECTED = f"({VALUE} + 1000003)"
