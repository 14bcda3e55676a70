"""Bad input is a 4xx problem that names the field, whatever it is."""

from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import pytest

from tests.services.query.conftest import Headers


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "installation_id"),
        ({"installation_id": "no-uuid"}, "installation_id"),
        ({"installation_id": "\0"}, "installation_id"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1000000000"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"before": ""}, "before"),
        ({"before": "yesterday"}, "before"),
        ({"before": "2026-11-01T05:00:00"}, "before"),
        ({"before": "2026-11-01"}, "before"),
        ({"before": "2026-11-01 05:00"}, "before"),
        ({"before": "2026-W44-7T05:00:00Z"}, "before"),
        ({"before": "2026-11-01T05:00:00+99:00"}, "before"),
        ({"before": "1793509200"}, "before"),
        ({"before": "0001-01-01T00:00:00+14:00"}, "before"),
        ({"before": "9999-12-31T23:59:59-12:00"}, "before"),
        ({"before": "0000-01-01T00:00:00Z"}, "before"),
        ({"before": "10000-01-01T00:00:00Z"}, "before"),
        ({"before": "2026-11-01T05:00:00Z\0"}, "before"),
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field(
    client_without_database: httpx2.AsyncClient, headers: Headers, parameters: dict[str, str], field: str
) -> None:
    good = {"installation_id": str(uuid4())} if field != "installation_id" else {}
    answer = await client_without_database.get(f"/readings?{urlencode(good | parameters)}", headers=headers(uuid4()))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["title"], problem["type"]) == (422, "Unprocessable Content", "about:blank")
    assert [(error["location"], error["field"]) for error in problem["errors"]] == [("query", field)]
    assert problem["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("raw", ["%00", "%ED%A0%80", "%FF%FE", "a%00b", "%F0%9F%94%A5"])
@pytest.mark.parametrize("field", ["installation_id", "before", "limit"])
async def test_bytes_that_are_no_text_are_bad_input_too(
    client_without_database: httpx2.AsyncClient, headers: Headers, field: str, raw: str
) -> None:
    answer = await client_without_database.get(
        f"/readings?installation_id={uuid4()}&{field}={raw}", headers=headers(uuid4())
    )
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("url", "status", "field"),
    [
        ("/installations?stale=maybe", 422, "stale"),
        ("/installations?stale=%00", 422, "stale"),
        ("/installations?limit=0", 422, "limit"),
        ("/installations?limit=1000000000", 422, "limit"),
        ("/installations?cursor=", 400, "cursor"),
        ("/installations?cursor=%00", 400, "cursor"),
        ("/installations?cursor=%ED%A0%80", 400, "cursor"),
        ("/installations?cursor=bm90IG91cnM", 400, "cursor"),
        (f"/installations?cursor={'A' * 4097}", 422, "cursor"),
        ("/installations/no-uuid", 422, "installation_id"),
        ("/installations/%00", 422, "installation_id"),
        ("/installations/%ED%A0%80", 422, "installation_id"),
        ("/properties?limit=-1", 422, "limit"),
        ("/properties?cursor=%F0%9F%94%A5", 400, "cursor"),
        ("/properties/%00", 422, "property_id"),
        (f"/properties/{uuid4()}0", 422, "property_id"),
    ],
    ids=range(16),
)
async def test_the_other_routes_name_the_field_too(
    client_without_database: httpx2.AsyncClient, headers: Headers, url: str, status: int, field: str
) -> None:
    answer = await client_without_database.get(url, headers=headers(uuid4()))
    assert answer.status_code == answer.json()["status"] == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]
