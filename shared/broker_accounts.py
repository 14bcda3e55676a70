"""What each program may do on the broker, and how a vhost is made ready: topology, policy, accounts."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import aio_pika

from shared import topology
from shared.broker_admin import BrokerAdmin, Permissions, TopicPermissions
from shared.messages.alert_events import AlertEventType
from shared.subscriber_accounts import QUEUES_BOUNDS, QUEUES_POLICY

NOTHING = "^$"
UUID_PATTERN = "[0-9a-f-]{36}"

SERVICE_ACCOUNT = "mbus-service"
GATEWAY_ACCOUNT = "mbus-gateway"

FORMATS = "|".join(topology.GatewayFormat)
SESSION_QUEUES = rf"ingest\.session\.{UUID_PATTERN}"
ALERT_TYPES = "|".join(map(re.escape, AlertEventType))

SERVICE_PERMISSIONS: dict[str, Permissions] = {
    # Declaring something identically needs the right to configure it; binding a queue, to write it and to read the
    # exchange; a queue with a dead-letter exchange, to read the queue and to write that exchange.
    "ingest": Permissions(
        configure=rf"^(gateways|ingest\.readings|events|dead-letters|{SESSION_QUEUES})$",
        # `gateways` to replay what was in quarantine.
        write=r"^(ingest\.readings|gateways|events|dead-letters)$",
        read=r"^(gateways|ingest\.readings|dead-letters)$",
    ),
    "alerts": Permissions(
        configure=r"^(events|alerts\.readings-stored|alerts|dead-letters)$",
        write=r"^(alerts\.readings-stored|alerts|dead-letters)$",
        # Only to look, before silence is judged: how much waits, and which sessions of ingest are alive.
        read=rf"^(events|alerts\.readings-stored|dead-letters|ingest\.readings|{SESSION_QUEUES})$",
    ),
}


SERVICE_TOPICS: dict[str, tuple[TopicPermissions, ...]] = {
    "ingest": (
        TopicPermissions(
            exchange=topology.GATEWAYS,
            write=rf"^gateways\.{topology.GATEWAY_ID.pattern}\.({FORMATS})$",
            read=rf"^gateways\.\*\.({FORMATS})$",  # the keys of its queue's bindings
        ),
        TopicPermissions(exchange=topology.EVENTS, write=rf"^readings\.stored\.{UUID_PATTERN}$", read=NOTHING),
    ),
    "alerts": (
        TopicPermissions(
            exchange=topology.EVENTS,
            write=NOTHING,
            read=r"^readings\.stored\.\*$",  # the key of its queue's binding
        ),
        TopicPermissions(
            exchange=topology.ALERTS,
            write=rf"^({UUID_PATTERN}|{topology.OPERATOR})\.({ALERT_TYPES})$",
            read=NOTHING,
        ),
    ),
}


async def prepare_broker(admin: BrokerAdmin, broker_url: str, logins: Mapping[str, str]) -> None:
    """Make the vhost of `broker_url` ready; safe to repeat. `logins` maps a service to its broker URL."""
    await admin.put_policy(
        # Without it a client of MQTT 3 gets a success for a message that no queue took.
        "mbus-gateways-unrouted",
        pattern=f"^{topology.GATEWAYS}$",
        apply_to="exchanges",
        definition={"alternate-exchange": topology.DEAD_LETTERS},
    )
    await admin.put_policy(
        QUEUES_POLICY, pattern=r"^sub\.", apply_to="queues", definition=QUEUES_BOUNDS, of_operator=True
    )
    connection = await aio_pika.connect(broker_url, timeout=15)
    async with connection, connection.channel() as channel:
        await topology.declare(channel, exchanges=topology.EXCHANGES)
    for service, url in logins.items():
        parts = urlsplit(url)
        await admin.put_account(
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            SERVICE_PERMISSIONS[service],
            kind=SERVICE_ACCOUNT,
            topics=SERVICE_TOPICS[service],
        )


async def put_gateway_account(admin: BrokerAdmin, gateway_id: str, password: str) -> None:
    """Create a gateway's account: it may publish under its own routing keys, and nothing else.

    Raises `ValueError` for an id that is none: a dot or a sign of regular expressions in it would open a hole.
    """
    if not topology.GATEWAY_ID.fullmatch(gateway_id):
        raise ValueError(f"no gateway id: {gateway_id!r}")
    await admin.put_account(
        gateway_id,
        password,
        Permissions(configure=NOTHING, write=f"^{topology.GATEWAYS}$", read=NOTHING),
        kind=GATEWAY_ACCOUNT,
        topics=(
            TopicPermissions(exchange=topology.GATEWAYS, write=rf"^gateways\.{gateway_id}\.({FORMATS})$", read=NOTHING),
        ),
    )


async def rotate_gateway_account(admin: BrokerAdmin, gateway_id: str, password: str) -> None:
    """Give a gateway's account another password, and end the connections that were opened with the old one."""
    await put_gateway_account(admin, gateway_id, password)
    await admin.end_connections(gateway_id)


async def delete_gateway_account(admin: BrokerAdmin, gateway_id: str) -> bool:
    """Delete a gateway's account and end its connections; returns whether there was one."""
    existed = await admin.delete_account(gateway_id, kind=GATEWAY_ACCOUNT)
    await admin.end_connections(gateway_id)
    return existed
