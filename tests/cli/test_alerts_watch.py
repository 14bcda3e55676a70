"""`mbus alerts watch` shows events as the broker delivers them."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from uuid import UUID, uuid4

import aio_pika
import msgspec

from shared import topology
from shared.messages.alert_events import (
    SOURCE,
    AlertEvent,
    AlertEventType,
    GatewayAlert,
    GatewayAlertEvent,
    InstallationAlert,
    InstallationAlertEvent,
    LastReading,
    PipelineAlert,
    PipelineAlertEvent,
    PipelineCause,
)
from shared.messages.cloudevents import CONTENT_TYPE
from tests.support.messages import open_channel
from tests.support.vhosts import Vhost

TENANT = UUID(int=1)


def event(kind: AlertEventType, *, heard: bool) -> InstallationAlertEvent:
    at = datetime(2026, 11, 1, 5, tzinfo=UTC)
    last = LastReading(timestamp=at, value=88.1, rssi_dbm=None, battery_level_pct=None)
    return InstallationAlertEvent(
        id=str(uuid4()),
        source=SOURCE,
        type=kind.value,
        time=datetime(2026, 11, 3, 5, tzinfo=UTC),
        data=InstallationAlert(
            alert_id=UUID(int=2),
            tenant_id=TENANT,
            installation_id=UUID(int=3),
            meter_serial="99000001",
            medium="water",
            unit_of_measure="m3",
            property_id=UUID(int=4),
            property_name="Havnegade 1",
            address="Havnegade 1, 8000 Aarhus C",
            unit_label="kælder",
            gateway_id="GW-0001",
            since=at,
            silent_since=at,
            last_reading=last if heard else None,
        ),
    )


async def watch(vhost: Vhost, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "alerts", "watch", *arguments),
        env=os.environ | {"MBUS_BROKER_URL": vhost.url, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_events_are_shown_one_a_line_and_only_those_of_the_tenant(vhost: Vhost) -> None:
    process = await watch(vhost, "--tenant", str(TENANT), "--count", "2")
    assert process.stdout
    assert (await process.stdout.readline()).startswith(b"Watching alerts")
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.ALERTS)
        for tenant, told in [
            (TENANT, event(AlertEventType.INSTALLATION_STALE, heard=False)),
            (UUID(int=9), event(AlertEventType.INSTALLATION_STALE, heard=True)),
            (TENANT, event(AlertEventType.INSTALLATION_RECOVERED, heard=True)),
        ]:
            body = aio_pika.Message(msgspec.json.encode(told), content_type=CONTENT_TYPE)
            await exchange.publish(body, topology.alert_key(tenant, told.type), mandatory=False)
    out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert errors == b""
    assert out.decode().splitlines() == [
        "2026-11-03 05:00:00Z  installation.stale      water meter 99000001, Havnegade 1, kælder: never heard",
        (
            "2026-11-03 05:00:00Z  installation.recovered  water meter 99000001, Havnegade 1, kælder:"
            " 88.1 m3 at 2026-11-01 05:00:00Z"
        ),
    ]


def gateway_event(*, heard: bool) -> GatewayAlertEvent:
    at = datetime(2026, 11, 1, 5, tzinfo=UTC)
    return GatewayAlertEvent(
        id=str(uuid4()),
        source=SOURCE,
        type=AlertEventType.GATEWAY_SILENT.value,
        time=datetime(2026, 11, 3, 5, tzinfo=UTC),
        data=GatewayAlert(
            alert_id=UUID(int=2),
            tenant_id=TENANT,
            gateway_id="GW-0001",
            gateway_name="In the cellar",
            installations=24,
            properties=3,
            addresses=["Havnegade 1", "Havnegade 2\x1b[2J"],
            since=at,
            silent_since=at,
            last_heard_at=at if heard else None,
        ),
    )


def pipeline_event(kind: AlertEventType) -> PipelineAlertEvent:
    at = datetime(2026, 11, 1, 5, tzinfo=UTC)
    return PipelineAlertEvent(
        id=str(uuid4()),
        source=SOURCE,
        type=kind.value,
        time=at,
        data=PipelineAlert(
            since=at, cause=PipelineCause.BEHIND, reason="nobody consumes ingest.readings", judged_until=None
        ),
    )


async def test_silent_gateways_and_the_pipeline_are_shown_too(vhost: Vhost) -> None:
    process = await watch(vhost, "--count", "4")
    assert process.stdout
    assert (await process.stdout.readline()).startswith(b"Watching alerts")
    async with open_channel(vhost.url) as channel:
        exchange = await channel.get_exchange(topology.ALERTS)
        told: AlertEvent
        for tenant, told in (
            (TENANT, gateway_event(heard=True)),
            (TENANT, gateway_event(heard=False)),
            (None, pipeline_event(AlertEventType.PIPELINE_DEGRADED)),
            (None, pipeline_event(AlertEventType.PIPELINE_RECOVERED)),
        ):
            body = aio_pika.Message(msgspec.json.encode(told), content_type=CONTENT_TYPE)
            await exchange.publish(body, topology.alert_key(tenant, told.type), mandatory=False)
    out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert errors == b""
    gateway = "gateway GW-0001 of 24 meters, Havnegade 1, Havnegade 2\\x1b[2J and 1 other"
    assert out.decode().splitlines() == [
        f"2026-11-03 05:00:00Z  gateway.silent          {gateway}: heard at 2026-11-01 05:00:00Z",
        f"2026-11-03 05:00:00Z  gateway.silent          {gateway}: never heard",
        (
            "2026-11-01 05:00:00Z  pipeline.degraded       silence not judged since 2026-11-01 05:00:00Z:"
            " behind: nobody consumes ingest.readings"
        ),
        (
            "2026-11-01 05:00:00Z  pipeline.recovered      silence is judged again; it was not since"
            " 2026-11-01 05:00:00Z: behind: nobody consumes ingest.readings"
        ),
    ]


async def test_it_ends_after_the_time_that_it_was_given(vhost: Vhost) -> None:
    process = await watch(vhost, "--wait", "1s")
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert out.decode().splitlines()[-1] == "0 events in 1 s."


async def test_a_broker_that_cannot_be_reached_is_one_line() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "alerts", "watch", "--wait", "1s"),
        env=os.environ | {"MBUS_BROKER_URL": "amqp://nobody:nothing@127.0.0.1:1/"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert errors.decode().startswith("mbus: the broker in MBUS_BROKER_URL cannot be reached")
    assert errors.decode().count("\n") == 1
    assert "nothing" not in errors.decode()
