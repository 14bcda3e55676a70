"""Kinds of options and arguments that several commands take."""

import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import typer

from cli.errors import CommandError
from shared.clock import utc_now
from shared.registry import cells
from shared.registry.durations import parse_duration


def duration(text: str) -> timedelta:
    """An option's duration, such as `1h`; a usage error when it is none."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}") from None


def read_bytes(path: Path) -> bytes:
    """A file's content, or that of stdin for `-`."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def moment(text: str) -> datetime:
    """An option's time: ISO 8601 with an offset, a date for its midnight in UTC, or how long ago, such as `36h`."""
    try:
        return utc_now() - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        said = cells.moment(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}; or how long ago, such as 36h") from None
    return said if isinstance(said, datetime) else datetime.combine(said, time(), UTC)


def printable(text: str) -> str:
    """Text that came from outside, with what a terminal would obey, or could not show, written out."""
    return "".join(it if it.isprintable() or it in "\n\t" else it.encode("unicode_escape").decode() for it in text)
