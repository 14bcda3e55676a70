"""`mbus openapi`: the description of the HTTP API, for other people's tools."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.query.published import published_document


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("openapi")(openapi_command)


def openapi_command(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; else it is printed.")
    ] = None,
) -> None:
    """Write the OpenAPI 3.1 document of query; the service answers `GET /openapi.json` with the same."""
    document = published_document()
    if file is None:
        sys.stdout.write(document.decode())
    else:
        file.write_bytes(document)
