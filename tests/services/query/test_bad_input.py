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
