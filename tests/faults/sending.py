"""What the gateways of a fault test send: batches of readings, good and bad, each known in all that it says."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import topology
from tests.faults.ledger import Key, Refused, Sent
from tests.support.registry import INSTALLED_AT, Building, add_meter, create_building

NEWEST = datetime(2026, 2, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
METERS = 20


@dataclass
class Fleet:
    """A gateway with its meters. Every reading that it makes up has another time than all before."""

    building: Building
    stranger: Building
    gone: UUID
    chance: random.Random
    made: int = 0

    def batch(self, size: int = 50) -> Sent:
        """A message of good readings."""
        return self._message([self._reading() for _ in range(size)])

    def batches(self, count: int, size: int = 50) -> list[Sent]:
        """Messages of good readings."""
        return [self.batch(size) for _ in range(count)]

    def correction(self, of: Sent) -> Sent:
        """A message with other values for all that `of` says."""
        return self._message([(key, value + 1) for key, value in of.accepted])

    def spoilt(self, size: int = 20) -> Sent:
        """A message with good readings, and among them one bad reading for each reason that a reading can have."""
        good = [self._reading() for _ in range(size)]
        bad = list(self._bad(good[0]))
        texts = [self._text(key, value) for key, value in good[1:]] + [original for _, original in bad]
        self.chance.shuffle(texts)
        # First, so that the other one contradicts it.
        texts.insert(0, self._text(*good[0]))
        gateway_id = self.building.gateway_id
        refused = tuple(Refused(gateway_id, reason, original) for reason, original in bad)
        return self._sent(f'{{"readings": [{", ".join(texts)}]}}', accepted=tuple(good), refused=refused)

    def one_bad(self, *, among: int) -> Sent:
        """A message with one bad reading among good ones."""
        good = [self._reading() for _ in range(among)]
        reason, original = self.chance.choice(list(self._bad(good[0])))
        texts = [self._text(key, value) for key, value in good]
        texts.insert(self.chance.randrange(1, among), original)
        refused = (Refused(self.building.gateway_id, reason, original),)
        return self._sent(f'{{"readings": [{", ".join(texts)}]}}', accepted=tuple(good), refused=refused)

    def of_nobody(self) -> Sent:
        """A message from a gateway that nobody has registered."""
        return self._refused_whole("GW-nobody", "unknown_gateway", f'"n": {self._next()}')

    def of_another(self) -> Sent:
        """A message whose body claims another gateway."""
        return self._refused_whole(self.building.gateway_id, "gateway_mismatch", '"gateway_id": "GW-other"')

    def no_message(self) -> Sent:
        """A body that is no message at all."""
        kinds = ('"text {}"', "{}", "[{}", '{{"readings": {}}}', "hello {}")
        body = self.chance.choice(kinds).format(self._next()).encode()
        return Sent(topology.gateway_readings_key(self.building.gateway_id), body, dead=True)

    def unroutable(self) -> Sent:
        """A good message under a key that no queue takes."""
        return Sent(f"gateways.{self.building.gateway_id}.nonsense", self.batch(3).body, dead=True)

    def at(self, times: Iterable[datetime]) -> Sent:
        """A message of good readings of one meter at these times."""
        meter = self.chance.choice(self.building.installation_ids)
        return self._message([((meter, time), float(number)) for number, time in enumerate(times)])

    def _refused_whole(self, gateway_id: str, reason: str, more: str) -> Sent:
        (meter, time), value = self._reading()
        original = f'{{"installation_id": "{meter}", "timestamp": "{time.isoformat()}", "value": {value}, {more}}}'
        return Sent(
            topology.gateway_readings_key(gateway_id),
            f"[{original}]".encode(),
            refused=(Refused(gateway_id, reason, original),),
        )

    def _next(self) -> int:
        self.made += 1
        return self.made

    def _reading(self) -> tuple[Key, float]:
        meter = self.chance.choice(self.building.installation_ids)
        return (meter, NEWEST - self._next() * STEP), round(self.chance.uniform(0, 100_000), 3)

    def _message(self, readings: Iterable[tuple[Key, float]]) -> Sent:
        readings = tuple(readings)
        texts = ", ".join(self._text(key, value) for key, value in readings)
        return self._sent(f'{{"gateway_id": "{self.building.gateway_id}", "readings": [{texts}]}}', accepted=readings)

    def _sent(self, body: str, *, accepted: tuple[tuple[Key, float], ...], refused: tuple[Refused, ...] = ()) -> Sent:
        key = topology.gateway_readings_key(self.building.gateway_id)
        return Sent(key, body.encode(), accepted=accepted, refused=refused)

    def _text(self, key: Key, value: float) -> str:
        meter, time = key
        serial = next(serial for serial, id_ in self.building.meters.items() if id_ == meter)
        name = {"installation_id": str(meter)} if self.chance.random() < 0.5 else {"meter_serial": serial}
        more = {"rssi_dbm": -self.chance.randrange(40, 100)} if self.chance.random() < 0.5 else {}
        return json.dumps({**name, "timestamp": time.isoformat(), "value": value, **more})

    def _bad(self, good: tuple[Key, float]) -> Iterator[tuple[str, str]]:
        """A bad reading for each reason: the reason, and the reading's text."""
        (meter, time), value = good
        named, at = f'"installation_id": "{meter}"', f'"timestamp": "{time.isoformat()}"'
        for reason, members in {
            "malformed": f'{named}, {at}, "value": 1, "gateway_id": 5',
            "invalid_installation_id": f'"installation_id": "seven", {at}, "value": 1',
            "invalid_meter_serial": f'"meter_serial": 7, {at}, "value": 1',
            "invalid_timestamp": f'{named}, "timestamp": "2026-13-01T00:00:00Z", "value": 1',
            "naive_timestamp": f'{named}, "timestamp": "2026-01-01T00:00:00", "value": 1',
            "invalid_value": f'{named}, {at}, "value": NaN',
            "invalid_rssi": f'{named}, {at}, "value": 1, "rssi_dbm": "far"',
            "invalid_battery_level": f'{named}, {at}, "value": 1, "battery_level_pct": 101',
            "gateway_mismatch": f'{named}, {at}, "value": 1, "gateway_id": "GW-other"',
            "no_installation": f'{at}, "value": 1',
            "unknown_installation": f'"meter_serial": "unheard-of", {at}, "value": 1',
            "foreign_installation": f'"installation_id": "{self.stranger.installation_ids[0]}", {at}, "value": 1',
            "installation_deleted": f'"installation_id": "{self.gone}", {at}, "value": 1',
            "before_installation": f'{named}, "timestamp": "0001-01-01T00:00:00+12:00", "value": 1',
            "in_the_future": f'{named}, "timestamp": "9999-12-31T23:59:59-12:00", "value": 1',
            "contradiction": f'{named}, {at}, "value": {value + 1}',
        }.items():
            yield reason, f'{{{members}, "n": {self._next()}}}'
        yield "not_an_object", f"[{self._next()}]"


async def create_fleet(engine: AsyncEngine, chance: random.Random, *, installed_at: datetime = INSTALLED_AT) -> Fleet:
    """Register a gateway with meters, a stranger's, and a meter that is gone."""
    building = await create_building(engine, meters=METERS, installed_at=installed_at)
    stranger = await create_building(engine, meters=1)
    gone = await add_meter(engine, building, "gone", installed_at=NEWEST - timedelta(days=700))
    del building.meters["gone"]
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE meter_installation SET deleted_at = :at WHERE id = :id"),
            {"at": NEWEST - timedelta(days=699), "id": gone},
        )
    return Fleet(building, stranger, gone, chance)
