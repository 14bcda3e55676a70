"""The `mbus` command: puts its parts together and turns every failure into one line."""

import logging
import os
import sys
import traceback

import typer

from cli import (
    alerts,
    bench,
    documents,
    gateways,
    migrate,
    publish,
    registry_import,
    simulate,
    stack_commands,
    subscribers,
    token,
)
from cli.dead_letters import commands as dead_letters
from cli.deliveries import commands as deliveries
from cli.errors import one_line
from cli.quarantine import commands as quarantine
from cli.stack.env_file import load_env_file


def create_app() -> typer.Typer:
    """The command line with all of its commands."""
    app = typer.Typer(
        name="mbus",
        rich_markup_mode="markdown",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(prepare)
    parts = (
        stack_commands,
        migrate,
        registry_import,
        gateways,
        subscribers,
        token,
        publish,
        simulate,
        alerts,
        quarantine,
        dead_letters,
        deliveries,
        documents,
        bench,
    )
    for part in parts:
        part.register(app)
    return app


def prepare(context: typer.Context) -> None:
    """Runs and looks after the M-Bus Gateway back end.

    Servers and secrets are named by MBUS_… variables; those that are not set are taken from this checkout's running
    stack (`mbus up`).
    """
    if context.invoked_subcommand not in stack_commands.NAMES:
        load_env_file()
    # What libraries log about a failure stands in the one line that is printed for it.
    logging.basicConfig(handlers=[logging.NullHandler()])


def main() -> None:
    """Run the command line; exit code 1 and one line on stderr when it fails, 2 when it was used wrongly."""
    try:
        create_app()(prog_name="mbus")
    except Exception as error:  # noqa: BLE001 - whatever it is, a person reads it, and a traceback tells them nothing
        if os.environ.get("MBUS_LOG_LEVEL", "").upper() == "DEBUG":
            traceback.print_exc()
        print(f"mbus: {one_line(error)}{stack_commands.advice(error)}", file=sys.stderr)
        sys.exit(1)
