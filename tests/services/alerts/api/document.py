"""The service's OpenAPI document, and the operations in it."""

import json
from datetime import timedelta
from typing import Any

from services.alerts.published import published_document
from shared.clock import utc_now
from tests.support.operations import Operation, secured_operations
from tests.support.registry import Building

DOCUMENT: dict[str, Any] = json.loads(published_document())

STREAM = "/alerts/stream"
"""It is no list, and what it answers is told apart in test_stream.py."""

BODIES: dict[str, dict[str, Any]] = {
    "/alerts/{alert_id}/acknowledge": {"note": "Seen."},
    "/alerts/{alert_id}/snooze": {"until": (utc_now() + timedelta(hours=1)).isoformat()},
    "/alerts/acknowledge": {"note": "Seen."},
    "/alerts/snooze": {"until": (utc_now() + timedelta(hours=1)).isoformat()},
    "/alerts/unsnooze": {},
    "/maintenance-windows": {"weekdays": [2]},
    "/maintenance-windows/{window_id}": {"weekdays": [2], "from_time": "08:00", "until_time": "16:00"},
    "/subscriptions": {"name": "Tickets", "url": "https://alerts.example.com/"},
    "/subscriptions/{subscription_id}": {"name": "Tickets", "url": "https://alerts.example.com/"},
    "/subscriptions/{subscription_id}/rotate-secret": {"keep_previous": "PT1H"},
    "/policies": {"stale_after": "P1D", "medium": "gas"},
    "/policies/preview": {"policy": {"stale_after": "P1D"}},
    "/policies/{policy_id}": {"stale_after": "P1D", "medium": "water"},
}
"""What to send to each path that takes a body."""

OF_A_BUILDING = {"/alerts/acknowledge", "/alerts/snooze", "/alerts/unsnooze"}
"""Those whose body must name something too."""


def operations() -> list[Operation]:
    """All that need a token."""
    return list(secured_operations(DOCUMENT))


def body_of(operation: Operation, building: Building | None = None) -> dict[str, Any] | None:
    """What to send, if anything; about `building` where it must name something."""
    if not operation.has_body:
        return None
    named = {} if building is None else {"property_id": str(building.property_id)}
    return BODIES[operation.path] | (named if operation.path in OF_A_BUILDING else {})
