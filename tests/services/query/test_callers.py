"""Who may call: a good token with the scope, and nobody else."""

from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from tests.services.query.document import operations
from tests.support.registry import Building
from tests.support.tokens import Headers

ANYTHING = Building(
    tenant_id=uuid4(), property_id=uuid4(), unit_id=uuid4(), gateway_id="GW-0001", meters={"1": uuid4()}
)
ROUTES = (
    *(operation.url(operation.needed(ANYTHING)) for operation in operations()),
    f"/readings?installation_id={uuid4()}&limit=0",
    "/installations/no-uuid",
    "/installations?no-such-parameter=1",
)


@pytest.mark.parametrize("route", ROUTES, ids=range(len(ROUTES)))
async def test_no_route_answers_without_a_token_whatever_else_is_wrong(
    client_without_database: httpx2.AsyncClient, headers: Headers, route: str
) -> None:
    expired = headers(uuid4(), lifetime=timedelta(seconds=-1))
    refusals: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "Bearer"),
        ({"Authorization": "Bearer"}, 401, "Bearer"),
        ({"Authorization": "Basic bWU6c2VjcmV0"}, 401, "Bearer"),
        ({"Authorization": "Bearer æøå"}, 401, 'Bearer error="invalid_token"'),
        (expired, 401, 'Bearer error="invalid_token"'),
        (headers(uuid4(), scope="alerts:read"), 403, 'Bearer error="insufficient_scope", scope="readings:read"'),
        (headers(uuid4(), scope=""), 403, 'Bearer error="insufficient_scope", scope="readings:read"'),
    ]
    for sent, status, challenge in refusals:
        answer = await client_without_database.get(
            route, headers=[(name.encode(), value.encode()) for name, value in sent.items()]
        )
        assert (answer.status_code, answer.headers["www-authenticate"]) == (status, challenge)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


async def test_health_metrics_and_documentation_need_no_token(client: httpx2.AsyncClient) -> None:
    for route in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await client.get(route)).status_code == 200, route
