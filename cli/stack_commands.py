"""Adds the commands that run a stack on this machine, where there is what they need."""

from importlib.util import find_spec

import typer

NAMES = ("up", "down", "status", "logs")
"""They make what the others take from `.mbus/env`, and must not take it themselves."""


def advice(error: BaseException) -> str:
    """What to add to a failure that comes from this checkout's stack being down; empty for any other."""
    if not isinstance(error, ConnectionError) or find_spec("psutil") is None:
        return ""
    from cli.stack.checkout import Checkout  # noqa: PLC0415 - as below
    from cli.stack.errors import StackError  # noqa: PLC0415 - as below
    from cli.stack.status import is_down  # noqa: PLC0415 - as below

    try:
        return " (the stack of this checkout is down: `make up` starts it)" if is_down(Checkout.here()) else ""
    except StackError as unknown:
        return f" (whether the stack of this checkout runs is not known: {unknown})"


def register(app: typer.Typer) -> None:
    """Add up, down, status and logs in a checkout; an image of the services has no packages to run a stack with."""
    if find_spec("psutil") is None:
        return
    from cli.stack import commands  # noqa: PLC0415 - psutil is needed to import it

    for name in NAMES:
        app.command(name)(getattr(commands, name))
