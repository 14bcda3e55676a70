"""The ledger of /metrics: received = stored + unchanged + corrected + quarantined, always, and no message uncounted."""

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aio_pika
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.reasons import Reason
from shared import topology
from shared.clock import utc_now
from shared.transmission import RECEIVED_AT_HEADER
from tests.support.databases import Database
from tests.support.messages import eventually, open_channel, queue_length
from tests.support.quarantine import quarantined
from tests.support.registry import Building, create_building
from tests.support.services import running_ingest
from tests.support.vhosts import Vhost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JUNK = (b"", b"junk", b"17", b'{"readings": 3}', b"\xff\xfe", b"[" * 5000)
FIGURE = re.compile(r'^mbus_ingest_(readings_received|readings|messages)_total(?:{\w+="(\w+)"})? (\S+)$', re.MULTILINE)
VERDICTS = ("stored", "unchanged", "corrected", "quarantined")


@dataclass
class Street:
    """Two tenants' buildings, and gateways that are unknown and out of use."""

    ours: Building
    theirs: Building
    disabled: str

    def bad(self) -> dict[Reason, dict[str, object]]:
        """A reading of ours that is refused, for each reason that a reading by itself can have."""
        good = self.good(0, 0)
        named = {name: value for name, value in good.items() if name != "meter_serial"}
        return {
            Reason.MALFORMED: good | {"gateway_id": 7},
            Reason.INVALID_INSTALLATION_ID: named | {"installation_id": "x"},
            Reason.INVALID_METER_SERIAL: named | {"meter_serial": 7},
            Reason.INVALID_TIMESTAMP: good | {"timestamp": "noon"},
            Reason.NAIVE_TIMESTAMP: good | {"timestamp": "2026-03-01T12:00:00"},
            Reason.INVALID_VALUE: good | {"value": "1"},
            Reason.INVALID_RSSI: good | {"rssi_dbm": 1e9},
            Reason.INVALID_BATTERY_LEVEL: good | {"battery_level_pct": -1},
            Reason.GATEWAY_MISMATCH: good | {"gateway_id": "GW-x"},
            Reason.NO_INSTALLATION: named,
            Reason.UNKNOWN_INSTALLATION: named | {"meter_serial": "nobody's"},
            Reason.FOREIGN_INSTALLATION: named | {"installation_id": str(self.theirs.installation_ids[0])},
            Reason.INSTALLATION_DELETED: named | {"meter_serial": "70000002"},
            Reason.BEFORE_INSTALLATION: good | {"timestamp": "1999-01-01T00:00:00Z"},
            Reason.IN_THE_FUTURE: good | {"timestamp": "2999-01-01T00:00:00Z"},
        }

    def good(self, hour: int, value: float) -> dict[str, object]:
        at = NOON + timedelta(hours=hour)
        return {"meter_serial": f"7000000{hour % 2}", "timestamp": at.isoformat(), "value": value}


@dataclass
class Traffic:
    """What was sent, and how many readings and dead letters it makes."""

    messages: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    readings: int = 0
    junk: int = 0

    def send(self, key: str, body: object, *, readings: int, replay: bool = False) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {RECEIVED_AT_HEADER: (utc_now() - timedelta(minutes=1)).isoformat()} if replay else {}
        self.messages.append((key, raw, headers))
        self.readings += readings


@pytest.fixture
async def street(engine: AsyncEngine) -> Street:
    ours = await create_building(engine, meters=3)
    theirs = await create_building(engine, meters=1)
    disabled = await create_building(engine, meters=1)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE meter_installation SET deleted_at = :at WHERE meter_serial = '70000002'"),
            {"at": NOON - timedelta(days=1)},
        )
        await connection.execute(
            text("UPDATE gateway SET deleted_at = :at WHERE id = :id"),
            {"at": NOON - timedelta(days=1), "id": disabled.gateway_id},
        )
    return Street(ours, theirs, disabled.gateway_id)


def mixture(street: Street, chance: random.Random, messages: int) -> Traffic:
    """Good, repeated, corrected and bad readings of every kind, replays, and what is no message, in any order."""
    traffic = Traffic()
    ours = topology.gateway_readings_key(street.ours.gateway_id)
    bad = [json.dumps(one) for one in street.bad().values()] + ["7"]
    for _ in range(messages):
        kind, replay = chance.randrange(8), chance.random() < 0.2
        if kind == 0:
            key = chance.choice([ours, "gateways.no gateway.readings"])
            traffic.send(key, chance.choice(JUNK), readings=0, replay=replay)
            traffic.junk += 1
        elif kind == 1:
            sender = chance.choice(["GW-nobody", street.disabled])
            traffic.send(topology.gateway_readings_key(sender), [street.good(0, 1)], readings=1, replay=replay)
        elif kind == 2:
            telegram = {"id": "70000000", "timestamp": NOON.isoformat(), "media": "heat", "name": "x"}
            more = {"total_energy_consumption_kwh": chance.randrange(3)} if chance.random() < 0.5 else {}
            traffic.send(topology.gateway_wmbus_key(street.ours.gateway_id), telegram | more, readings=1, replay=replay)
        else:
            good = [
                json.dumps(street.good(chance.randrange(6), chance.randrange(3))) for _ in range(chance.randrange(9))
            ]
            some = good + chance.sample(bad, chance.randrange(4)) + chance.sample(good, min(len(good), 2))
            traffic.send(ours, f"[{', '.join(some)}]".encode(), readings=len(some), replay=replay)
    return traffic


async def publish(vhost: Vhost, traffic: Traffic) -> None:
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.GATEWAYS)
        for key, body, headers in traffic.messages:
            await exchange.publish(aio_pika.Message(body, headers=dict(headers)), key, timeout=10)


async def figures(app: FastAPI) -> Counter[str]:
    """What /metrics says of readings and messages."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://ingest") as client:
        page = (await client.get("/metrics")).text
    # Messages have an outcome "stored" too.
    return Counter({f"{kind} {label}".strip(): int(float(number)) for kind, label, number in FIGURE.findall(page)})


def agree(told: Counter[str]) -> bool:
    return told["readings_received"] == sum(told[f"readings {verdict}"] for verdict in VERDICTS)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_ledger_agrees_at_every_moment_whatever_is_sent(
    engine: AsyncEngine, database: Database, vhost: Vhost, street: Street, seed: int
) -> None:
    traffic = mixture(street, random.Random(seed), 150)
    looks = 0
    async with running_ingest(database, vhost) as app:

        async def dealt_with() -> bool:
            nonlocal looks
            told = await figures(app)
            looks += 1
            assert agree(told), told
            return told["readings_received"] >= traffic.readings and told["messages dead_lettered"] >= traffic.junk

        publishing = asyncio.create_task(publish(vhost, traffic))
        await eventually(dealt_with)
        await publishing
        told = await figures(app)
    assert looks > 1
    # No delivery came twice, so that the figures are those of what was sent and of what is there.
    assert (told["readings_received"], told["messages dead_lettered"]) == (traffic.readings, traffic.junk)
    assert await queue_length(vhost.url, topology.DEAD_LETTERS) == traffic.junk
    assert await queue_length(vhost.url, topology.INGEST_READINGS) == 0
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT count(*) FROM reading"))
        corrections = await connection.scalar(text("SELECT count(*) FROM reading_correction"))
    assert (told["readings stored"], told["readings corrected"]) == (stored, corrections)


async def test_every_reason_there_is_is_counted_as_quarantined_once(
    engine: AsyncEngine, database: Database, vhost: Vhost, street: Street
) -> None:
    traffic = Traffic()
    ours = topology.gateway_readings_key(street.ours.gateway_id)
    good = street.good(0, 1)
    traffic.send(ours, [*street.bad().values(), 7, good, good | {"value": 2}], readings=len(street.bad()) + 3)
    for sender in ("GW-nobody", street.disabled):
        traffic.send(topology.gateway_readings_key(sender), good, readings=1)
    telegram = {"id": "70000000", "timestamp": NOON.isoformat(), "media": "heat"}
    traffic.send(topology.gateway_wmbus_key(street.ours.gateway_id), telegram, readings=1)
    async with running_ingest(database, vhost) as app:
        await publish(vhost, traffic)

        async def dealt_with() -> bool:
            return (await figures(app))["readings_received"] == traffic.readings

        await eventually(dealt_with)
        told = await figures(app)
    assert (told["readings stored"], told["readings quarantined"]) == (1, traffic.readings - 1)
    assert Counter(row.reason for row in await quarantined(engine)) == Counter(reason.value for reason in Reason)
