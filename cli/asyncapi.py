"""`mbus asyncapi`: the description of the messages on the broker, for other people's tools."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.asyncapi.published import published_document


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("asyncapi")(asyncapi_command)


def asyncapi_command(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; else it is printed.")
    ] = None,
) -> None:
    """Write the AsyncAPI 3.0 document of what gateways publish; ingest answers `GET /asyncapi.json` with the same."""
    document = published_document()
    if file is None:
        sys.stdout.write(document.decode())
    else:
        file.write_bytes(document)
