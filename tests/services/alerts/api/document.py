"""The service's OpenAPI document, and the operations in it."""

import json
from datetime import timedelta
from typing import Any

from services.alerts.published import published_document
from shared.clock import utc_now
from tests.support.operations import Operation, secured_operations

DOCUMENT: dict[str, Any] = json.loads(published_document())

BODIES: dict[str, dict[str, Any]] = {
    "/alerts/{alert_id}/acknowledge": {"note": "Seen."},
    "/alerts/{alert_id}/snooze": {"until": (utc_now() + timedelta(hours=1)).isoformat()},
    "/maintenance-windows": {"weekdays": [2]},
    "/maintenance-windows/{window_id}": {"weekdays": [2], "from_time": "08:00", "until_time": "16:00"},
    "/policies": {"stale_after": "P1D", "medium": "gas"},
    "/policies/preview": {"policy": {"stale_after": "P1D"}},
    "/policies/{policy_id}": {"stale_after": "P1D", "medium": "water"},
}
"""What to send to each path that takes a body."""


def operations() -> list[Operation]:
    """All that need a token."""
    return list(secured_operations(DOCUMENT))


def body_of(operation: Operation) -> dict[str, Any] | None:
    """What to send, if anything."""
    return BODIES[operation.path] if operation.has_body else None
