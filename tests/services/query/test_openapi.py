"""The OpenAPI document says what the service answers."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.query.queries.installation_summary import InstallationsSummary
from services.query.queries.installations import InstallationsPage, InstallationWithHistory
from services.query.queries.properties import PropertiesPage, PropertyWithUnits
from services.query.queries.readings import ReadingsPage
from tests.services.query.conftest import Headers
from tests.services.query.data import add_readings, set_status
from tests.support.registry import create_building

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
async def document(client_without_database: httpx2.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client_without_database.get("/openapi.json")).json()
    return answer


async def test_every_answer_is_of_the_documented_shape(
    client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers, document: dict[str, Any]
) -> None:
    building = await create_building(engine)
    installation, *_ = building.installation_ids
    await add_readings(engine, installation, [NOON])
    await set_status(engine, installation, state="fresh", last_reading_at=NOON)
    expected = {
        "/readings": (f"/readings?installation_id={installation}", ReadingsPage),
        "/installations": ("/installations", InstallationsPage),
        "/installations/{installation_id}": (f"/installations/{installation}", InstallationWithHistory),
        "/installations/summary": ("/installations/summary", InstallationsSummary),
        "/properties": ("/properties", PropertiesPage),
        "/properties/{property_id}": (f"/properties/{building.property_id}", PropertyWithUnits),
    }
    for path, (url, shape) in expected.items():
        answer = await client.get(url, headers=headers(building.tenant_id))
        TypeAdapter(shape).validate_json(answer.content, extra="forbid")
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{shape.__name__}"}
    assert {path for path in document["paths"] if path not in {"/livez", "/readyz"}} == set(expected)


def test_every_list_says_what_its_items_are_and_every_route_how_it_refuses(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for page in ("ReadingsPage", "InstallationsPage", "PropertiesPage"):
        assert "$ref" in schemas[page]["properties"]["items"]["items"]
    for path, operations in document["paths"].items():
        if path not in {"/livez", "/readyz"}:
            answers = operations["get"]["responses"]
            assert {"200", "401", "403", "422", "503", "504"} <= answers.keys()
            assert operations["get"]["security"] == [{"bearer": []}]
    assert len({operations["get"]["operationId"] for operations in document["paths"].values()}) == 8
