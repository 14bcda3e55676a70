"""Adds the commands that run a stack on this machine, where there is what they need."""

from importlib.util import find_spec

import typer

NAMES = ("up", "down", "status", "logs")
"""They make what the others take from `.mbus/env`, and must not take it themselves."""


def register(app: typer.Typer) -> None:
    """Add up, down, status and logs in a checkout; an image of the services has no packages to run a stack with."""
    if find_spec("psutil") is None:
        return
    from cli.stack import commands  # noqa: PLC0415 - psutil is needed to import it

    for name in NAMES:
        app.command(name)(getattr(commands, name))
