"""The `mbus` command: puts its parts together and turns every failure into one line."""

import os
import sys
import traceback

import typer

from cli import gateways, migrate, publish, registry_import, simulate, token
from cli.errors import one_line


def create_app() -> typer.Typer:
    """The command line with all of its commands."""
    app = typer.Typer(
        name="mbus",
        help="Runs and looks after the M-Bus Gateway back end.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(prepare)
    for part in (migrate, registry_import, gateways, token, publish, simulate):
        part.register(app)
    return app


def prepare() -> None:
    """Runs and looks after the M-Bus Gateway back end.

    Servers and secrets are named by MBUS_… variables.
    """


def main() -> None:
    """Run the command line; exit code 1 and one line on stderr when it fails, 2 when it was used wrongly."""
    try:
        create_app()(prog_name="mbus")
    except Exception as error:  # noqa: BLE001 - whatever it is, a person reads it, and a traceback tells them nothing
        if os.environ.get("MBUS_LOG_LEVEL", "").upper() == "DEBUG":
            traceback.print_exc()
        print(f"mbus: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
