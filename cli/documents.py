"""`mbus asyncapi` and `mbus openapi`: the descriptions of messages and of the HTTP API, for other people's tools."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.alerts.published import published_document as alerts_document
from services.query.published import published_document as query_document
from shared.asyncapi.published import published_document as asyncapi_document

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; else it is printed.")]


class HttpService(StrEnum):
    """A service with an HTTP API."""

    QUERY = "query"
    ALERTS = "alerts"


Service = Annotated[HttpService, typer.Option("--service", help="Whose it is.")]

OPENAPI = {HttpService.QUERY: query_document, HttpService.ALERTS: alerts_document}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("asyncapi")(asyncapi_command)
    app.command("openapi")(openapi_command)


def asyncapi_command(file: File = None) -> None:
    """Write the AsyncAPI 3.0 document of what gateways publish, and of alert events.

    Ingest and alerts answer `GET /asyncapi.json` with the same.
    """
    _write(asyncapi_document(), file)


def openapi_command(file: File = None, service: Service = HttpService.QUERY) -> None:
    """Write the OpenAPI 3.1 document of a service, which answers `GET /openapi.json` with the same."""
    _write(OPENAPI[service](), file)


def _write(document: bytes, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(document.decode())
    else:
        file.write_bytes(document)
