"""What the servers beside ours have in common: settings, the same uvicorn, the same size of pool."""

import os
from dataclasses import dataclass

from fastapi import FastAPI

from shared.http.serve import serve
from shared.http.tenant_database import DRIVER_CONNECTIONS

POOL = DRIVER_CONNECTIONS
"""As many connections as our page of readings has."""

DATABASE_URL = "MBUS_ANCHOR_DATABASE_URL"
PORT = "MBUS_ANCHOR_PORT"


@dataclass(frozen=True)
class AnchorSettings:
    """Where it listens and what it reads."""

    database_url: str
    port: int


def anchor_settings() -> AnchorSettings:
    """The settings that the bench passed on."""
    return AnchorSettings(os.environ[DATABASE_URL], int(os.environ[PORT]))


def serve_anchor(app: FastAPI, settings: AnchorSettings) -> None:
    """Serve as the real service does, until SIGTERM."""
    serve(app, host="127.0.0.1", port=settings.port)
