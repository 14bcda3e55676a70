"""What each program may do on the broker, and how a vhost is made ready: topology, policy, accounts."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import aio_pika

from shared import topology
from shared.broker_admin import BrokerAdmin, Permissions, TopicPermissions

NOTHING = "^$"

SERVICE_ACCOUNT = "mbus-service"
GATEWAY_ACCOUNT = "mbus-gateway"

SERVICE_PERMISSIONS: dict[str, Permissions] = {
    # Declaring something identically needs the right to configure it; binding a queue, to write it and to read the
    # exchange; a queue with a dead-letter exchange, to read the queue and to write that exchange.
    "ingest": Permissions(
        configure=r"^(gateways|ingest\.readings|events|dead-letters)$",
        write=r"^(ingest\.readings|events|dead-letters)$",
        read=r"^(gateways|ingest\.readings|dead-letters)$",
    ),
    "alerts": Permissions(
        configure=r"^(events|alerts\.readings-stored|alerts|dead-letters)$",
        write=r"^(alerts\.readings-stored|alerts|dead-letters)$",
        # `ingest.readings` only to see whether it is empty, before a silence is judged.
        read=r"^(events|alerts\.readings-stored|dead-letters|ingest\.readings)$",
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
            TopicPermissions(
                exchange=topology.GATEWAYS, write=rf"^gateways\.{gateway_id}\.(readings|wmbus)$", read=NOTHING
            ),
        ),
    )
