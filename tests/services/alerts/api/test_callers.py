"""Who may call: a good token with the scope, and nobody else, whatever they send."""

from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from tests.services.alerts.api.document import operations
from tests.support.operations import Operation
from tests.support.registry import Building
from tests.support.tokens import Headers

ANYTHING = Building(
    tenant_id=uuid4(),
    property_id=uuid4(),
    unit_id=uuid4(),
    gateway_id="GW-0001",
    meters={"1": uuid4()},
    others={name: uuid4() for name in ("alert_id", "policy_id", "subscription_id", "window_id", "delivery_id")},
)
CASES = [pytest.param(operation, id=operation.id) for operation in operations()]
BODIES = {
    "none": (b"", {}),
    "no JSON": (b'{"stale_after": ', {"Content-Type": "application/json"}),
    "no type of ours": (b"stale_after=1", {"Content-Type": "application/x-www-form-urlencoded"}),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", CASES)
async def test_no_route_answers_without_a_token_whatever_else_is_wrong(
    client: httpx2.AsyncClient, headers: Headers, operation: Operation, body: str
) -> None:
    changes = operation.method != "GET" and operation.path != "/policies/preview"
    needed, other = ("alerts:write", "alerts:read") if changes else ("alerts:read", "alerts:write")
    lacking = f'Bearer error="insufficient_scope", scope="{needed}"'
    refusals: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "Bearer"),
        (headers(uuid4(), lifetime=timedelta(seconds=-1)), 401, 'Bearer error="invalid_token"'),
        (headers(uuid4(), scope=f"readings:read {other}"), 403, lacking),
        (headers(uuid4(), scope=""), 403, lacking),
    ]
    content, of_body = BODIES[body]
    for sent, status, challenge in refusals:
        answer = await client.request(
            operation.method, operation.url(operation.needed(ANYTHING)), headers={**sent, **of_body}, content=content
        )
        assert (answer.status_code, answer.headers["www-authenticate"]) == (status, challenge)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_health_metrics_and_documentation_need_no_token(client: httpx2.AsyncClient) -> None:
    for route in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await client.get(route)).status_code == 200, route
