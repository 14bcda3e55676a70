"""Simulated gateways: which readings they send, and the messages that carry them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from cli.fleet.consumption import DAY_S, HOUR_S
from cli.fleet.meters import Meter, MeterDay
from shared.messages.gateway import GatewayMessage, GatewayReading

SENT_AFTER = timedelta(seconds=12)
"""How long after its newest reading a message is sent."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """The moments at which meters are read: `count` of them, every `step_s` seconds from `first` (since 1970) on."""

    first: int
    step_s: int
    count: int

    @property
    def last(self) -> int:
        """The last of the moments."""
        return self[self.count - 1]

    def __getitem__(self, index: int) -> int:
        return self.first + index * self.step_s


class Gateway:
    """A gateway that reads its meters in turn at each tick, and names them by serial or by installation.

    A slot is one meter at one tick: slot `n` is meter `n % meters` at tick `n // meters`. A meter that is silent or
    not installed then leaves its slot empty. The same slots always give the same message.
    """

    def __init__(self, gateway_id: str, meters: Sequence[Meter], *, names_serials: bool = False) -> None:
        self.id = gateway_id
        self.meters = meters
        self._names_serials = names_serials
        self._encoder = msgspec.json.Encoder()
        self._day = -1
        self._on_day: list[MeterDay] = []

    def readings(self, ticks: Ticks, slots: range) -> list[GatewayReading]:
        """What was heard in `slots`."""
        width = len(self.meters)
        readings: list[GatewayReading] = []
        for tick in range(slots.start // width, -(-slots.stop // width)):
            begin = tick * width
            low, high = max(slots.start - begin, 0), min(slots.stop - begin, width)
            self._read(ticks[tick], low, high, readings)
        return readings

    def message(self, readings: list[GatewayReading]) -> bytes:
        """The message that carries `readings`, of which there is at least one."""
        sent_at = readings[-1].timestamp + SENT_AFTER
        return self._encoder.encode(GatewayMessage(gateway_id=self.id, sent_at=sent_at, readings=readings))

    def _read(self, second: int, low: int, high: int, readings: list[GatewayReading]) -> None:
        """Add what the meters from `low` to before `high` show at `second`. The fleet's hot loop."""
        day, of_day = divmod(second, DAY_S)
        hour, rest = divmod(of_day, HOUR_S)
        part = rest / HOUR_S
        timestamp = datetime.fromtimestamp(second, UTC)
        if day != self._day:
            self._day, self._on_day = day, [meter.day(day) for meter in self.meters]
        for plate, heard_from, heard_until, base, used, power, shape, rssi_dbm, battery, salt in self._on_day[low:high]:
            if not heard_from <= second < heard_until:
                continue
            share = shape[hour] + (shape[hour + 1] - shape[hour]) * part
            fading = ((second * 40_503 + salt) >> 7) % 9 - 4
            readings.append(
                GatewayReading(
                    installation_id=None if self._names_serials else plate.installation_id,
                    meter_serial=plate.serial if self._names_serials else None,
                    timestamp=timestamp,
                    value=int(base + used * share) / power,
                    rssi_dbm=None if rssi_dbm is None else rssi_dbm + fading,
                    battery_level_pct=battery,
                )
            )
