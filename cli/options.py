"""Kinds of options and arguments that several commands take."""

import sys
from datetime import timedelta
from pathlib import Path

import typer

from cli.errors import CommandError
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
