"""`mbus publish`: sends one gateway message from a file."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cli.errors import CommandError
from cli.options import read_bytes
from cli.publisher import GatewayPublisher
from cli.settings import BrokerSettings
from shared import topology
from shared.counted import counted
from shared.messages.gateway import MAX_MESSAGE_BYTES
from shared.registry import cells
from shared.settings import load


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish_command)


def publish_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A gateway message (JSON); - for stdin.")],
    gateway: Annotated[
        str | None, typer.Option(metavar="ID", help="Publish as this gateway; else the message's gateway_id.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Publish whatever it is, JSON or not.")] = False,
) -> None:
    """Publish a gateway message to the broker of MBUS_BROKER_URL, and say when the broker has taken it."""
    body = read_bytes(file)
    if raw:
        gateway_id, content = gateway, f"{len(body)} bytes"
    else:
        message = _parse(body, file)
        claimed = message.get("gateway_id") if isinstance(message, dict) else None
        gateway_id = gateway or (claimed if isinstance(claimed, str) else None)
        content = counted(count_readings(message), "reading")
    if gateway_id is None:
        raise CommandError("the message names no gateway_id; say which gateway with --gateway")
    try:
        cells.gateway_id(gateway_id)
    except ValueError as error:
        raise CommandError(f"the gateway id {gateway_id!r} {error}") from None
    asyncio.run(_publish(load(BrokerSettings).broker_url.get_secret_value(), gateway_id, body))
    print(f"The broker has taken {content} under {topology.gateway_readings_key(gateway_id)}.")


def count_readings(message: Any) -> int:
    """How many readings a message holds: a batch's or list's length, one for another object."""
    readings = message.get("readings", [message]) if isinstance(message, dict) else message
    return len(readings) if isinstance(readings, list) else 0


def _parse(body: bytes, file: Path) -> Any:
    if len(body) > MAX_MESSAGE_BYTES:
        raise CommandError(f"{file} has {len(body)} bytes, a message has at most {MAX_MESSAGE_BYTES} (--raw sends it)")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} is no JSON: {error} (--raw sends it all the same)") from None


async def _publish(url: str, gateway_id: str, body: bytes) -> None:
    async with GatewayPublisher(url) as publisher:
        await publisher.publish(gateway_id, body)
