"""`mbus publish`: sends a gateway message from a file, or the telegrams that wmbusmeters has written to one."""

import asyncio
from collections.abc import Sequence
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
    message_format: Annotated[
        topology.GatewayFormat,
        typer.Option("--format", help="readings; or wmbus: telegrams of wmbusmeters, one in the file or one a line."),
    ] = topology.GatewayFormat.READINGS,
    raw: Annotated[bool, typer.Option("--raw", help="Publish whatever it is, JSON or not.")] = False,
) -> None:
    """Publish a gateway message to the broker of MBUS_BROKER_URL, and say when the broker has taken it."""
    body = read_bytes(file)
    bodies = [body]
    if raw:
        gateway_id, content = gateway, f"{len(body)} bytes"
    else:
        if message_format is topology.GatewayFormat.WMBUS:
            bodies = telegrams(body)
        messages = [_parse(one, file) for one in bodies]
        gateway_id = gateway or _claimed_gateway(messages)
        content = _contents(messages, message_format)
    if gateway_id is None:
        raise CommandError("the message names no gateway_id; say which gateway with --gateway")
    try:
        cells.gateway_id(gateway_id)
    except ValueError as error:
        raise CommandError(f"the gateway id {gateway_id!r} {error}") from None
    asyncio.run(_publish(load(BrokerSettings).broker_url.get_secret_value(), gateway_id, bodies, message_format))
    print(f"The broker has taken {content} under {topology.gateway_key(gateway_id, message_format)}.")


def telegrams(body: bytes) -> list[bytes]:
    """A file's messages of wmbusmeters: its lines, where each is an object as in its log files, else the whole."""
    lines = [line for line in body.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(_is_object(line) for line in lines) else [body]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def _claimed_gateway(messages: Sequence[Any]) -> str | None:
    claimed = messages[0].get("gateway_id") if isinstance(messages[0], dict) else None
    return claimed if isinstance(claimed, str) else None


def count_readings(message: Any) -> int:
    """How many readings a message holds: a batch's or list's length, one for another object."""
    readings = message.get("readings", [message]) if isinstance(message, dict) else message
    return len(readings) if isinstance(readings, list) else 0


def _contents(messages: Sequence[Any], message_format: topology.GatewayFormat) -> str:
    if message_format is topology.GatewayFormat.READINGS:
        return counted(sum(count_readings(message) for message in messages), "reading")
    return counted(sum(len(message) if isinstance(message, list) else 1 for message in messages), "telegram")


def _parse(body: bytes, file: Path) -> Any:
    if len(body) > MAX_MESSAGE_BYTES:
        raise CommandError(f"{file} has {len(body)} bytes, a message has at most {MAX_MESSAGE_BYTES} (--raw sends it)")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} is no JSON: {error} (--raw sends it all the same)") from None


async def _publish(url: str, gateway_id: str, bodies: Sequence[bytes], message_format: topology.GatewayFormat) -> None:
    async with GatewayPublisher(url) as publisher:
        for body in bodies:
            await publisher.publish(gateway_id, body, message_format)
