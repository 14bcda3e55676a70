"""The real services as processes, as the bench runs them."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType

from benchmarks.place import Place
from benchmarks.program import Program, free_port, running_program

SETTLE_S = 1
"""There was no outage before a bench, which an operator's default waits for."""


def running_ingest(place: Place) -> AbstractAsyncContextManager[Program]:
    """Ingest, with its own defaults."""
    port = free_port()
    variables = {
        "MBUS_INGEST_DATABASE_URL": place.ingest_url,
        "MBUS_INGEST_BROKER_URL": place.broker_ingest_url,
        "MBUS_INGEST_PORT": str(port),
    }
    return running_program("services.ingest", port=port, variables=variables, ready_at="/readyz")


def running_alerts(
    place: Place, more: Mapping[str, str] = MappingProxyType({})
) -> AbstractAsyncContextManager[Program]:
    """A replica of alerts, with its own defaults but for the settle time and `more`."""
    port = free_port()
    variables = {
        "MBUS_ALERTS_DATABASE_URL": place.alerts_url,
        "MBUS_ALERTS_BROKER_URL": place.broker_alerts_url,
        "MBUS_ALERTS_PORT": str(port),
        "MBUS_ALERTS_SETTLE_S": str(SETTLE_S),
        "MBUS_JWT_SECRET": secrets.token_urlsafe(32),
        **more,
    }
    return running_program("services.alerts", port=port, variables=variables)
