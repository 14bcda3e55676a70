"""Bad input is a 4xx problem that names the field, whatever it is and wherever it stands."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.query.data import add_readings
from tests.services.query.document import operations
from tests.support.databases import Database
from tests.support.operations import Operation, Parameter
from tests.support.processes import running
from tests.support.registry import Building, create_building
from tests.support.tokens import SECRET, Headers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
OPERATIONS = operations()

NO_TEXT = ["%00", "a%00b", "%ED%A0%80", "%ED%BF%BF", "%FF%FE", "%C3", "%C0%80", "%", "%zz"]
"""NUL, lone surrogates, and bytes that are no UTF-8."""
ODD_TEXT = [
    "",
    "%20",
    "null",
    "[]",
    "{}",
    "%F0%9F%94%A5",
    "%E2%80%AE",
    "%25",
    "_%25_",
    "%5C",
    "%27%20OR%201=1--",
    "A" * 5000,
]
NUMBERS = ["0", "-0", "-1", "1000000000", "9" * 5000, "-9223372036854775809", "1e400", "NaN", "Infinity", "0x10", "1.5"]
TIMES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-12:00",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-01T24:00:00Z",
    "2026-11-01T23:59:60Z",
    "2026-11-01T05:00:00%2B99:00",
    "2026-11-01T05:00:00+01:00",
    "infinity",
    "-infinity",
]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "installation_id"),
        ({"installation_id": "no-uuid"}, "installation_id"),
        ({"limit": "ten"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"before": ""}, "before"),
        ({"before": "yesterday"}, "before"),
        ({"before": "2026-11-01T05:00:00"}, "before"),
        ({"before": "2026-11-01"}, "before"),
        ({"before": "2026-11-01 05:00"}, "before"),
        ({"before": "2026-W44-7T05:00:00Z"}, "before"),
        ({"before": "1793509200"}, "before"),
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


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    building = await create_building(engine)
    await add_readings(engine, building.installation_ids[0], [NOON + timedelta(hours=hours) for hours in range(3)])
    return building


def is_answered_well(answer: httpx2.Response, parameter: Parameter) -> bool:
    """Whether it is an answer, or a problem that blames the parameter and nothing else."""
    if answer.status_code in {200, 404}:
        return answer.status_code == 200 or parameter.names_something
    problem = answer.json()
    return (
        answer.status_code in {400, 422}
        and answer.headers["content-type"] == "application/problem+json"
        and {error["field"] for error in problem["errors"]} == {parameter.name}
    )


@pytest.mark.parametrize("operation", [pytest.param(operation, id=operation.path) for operation in OPERATIONS])
async def test_whatever_a_parameter_is_it_gets_an_answer_or_is_named_as_bad(
    operation: Operation, client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    caller = headers(building.tenant_id)
    for parameter in operation.parameters:
        for value in [*NO_TEXT, *ODD_TEXT, *NUMBERS, *TIMES]:
            if parameter.in_path and not value:
                continue  # another path
            url = operation.url(operation.needed(building, beside=parameter.name) | {parameter.name: value})
            answer = await client.get(url, headers=caller)
            assert is_answered_well(answer, parameter), (url[:200], answer.status_code, answer.text[:500])


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [
        pytest.param(operation, parameter, id=f"{operation.path}, {parameter.name}")
        for operation in OPERATIONS
        for parameter in operation.parameters
        if parameter.schema.get("type") == "integer"
    ],
)
async def test_a_number_is_good_up_to_its_documented_bounds_and_no_further(
    operation: Operation, parameter: Parameter, client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    least, most = parameter.schema["minimum"], parameter.schema["maximum"]
    for number, status in {least: 200, most: 200, least - 1: 422, most + 1: 422}.items():
        url = operation.url(operation.needed(building) | {parameter.name: str(number)})
        assert (await client.get(url, headers=headers(building.tenant_id))).status_code == status, number


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [
        pytest.param(operation, parameter, id=f"{operation.path}, {parameter.name}")
        for operation in OPERATIONS
        for parameter in operation.parameters
        if parameter.is_time
    ],
)
async def test_a_time_may_have_any_offset_and_lie_in_any_year_of_the_calendar(
    operation: Operation, parameter: Parameter, client: httpx2.AsyncClient, headers: Headers, building: Building
) -> None:
    async def page(time: str) -> list[object]:
        url = operation.url(operation.needed(building) | {parameter.name: time})
        answer = await client.get(url, headers=headers(building.tenant_id))
        assert answer.status_code == 200, answer.text
        if answer.headers["content-type"].startswith("text/csv"):
            return [*answer.text.splitlines()[1:]]
        items: list[object] = answer.json()["items"]
        return items

    # An unescaped `+` arrives as a space.
    at_one = [await page(f"2026-11-01T{time}") for time in ("13:00:00Z", "14:00:00+01:00", "14:00:00%2B01:00")]
    assert at_one[0] == at_one[1] == at_one[2]
    assert len(at_one[0]) == 1
    ends = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    assert sorted([len(await page(end)) for end in ends]) == [0, 3]


async def test_bytes_that_no_url_may_have_are_refused_and_do_no_harm(
    database: Database, building: Building, headers: Headers
) -> None:
    token = headers(building.tenant_id)["Authorization"]
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}

    async def status(url: bytes) -> int:
        """Of the answer to a request whose URL goes over the line as it is."""
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET %s HTTP/1.1\r\nHost: query\r\nAuthorization: %s\r\n\r\n" % (url, token.encode()))
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()
        return int(line.split()[1])

    async with running(variables) as (_, url):
        host, port = str(urlsplit(url).hostname), urlsplit(url).port
        for operation in OPERATIONS:
            for parameter in operation.parameters:
                good = operation.needed(building, beside=parameter.name)
                for raw in (b"\0", b"\xed\xa0\x80", b"\xff\xfe", b"a\tb"):
                    place = operation.url(good | {parameter.name: "PLACE"}).encode()
                    assert 400 <= await status(place.replace(b"PLACE", raw)) < 500, (place, raw)
        async with httpx2.AsyncClient(base_url=url) as client:
            assert (await client.get("/readyz")).status_code == 200
