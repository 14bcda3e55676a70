"""`mbus token`: what it prints opens the API for one tenant, for as long as was asked."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import utc_now
from shared.http.reach import Reach
from shared.http.token_verifier import SharedSecret, TokenVerifier
from shared.http.tokens import Caller, TokenError
from shared.models import Tenant
from tests.cli.commands import mbus, variables_of
from tests.support.databases import Database
from tests.support.registry import create_building

SECRET = "a secret of the tests, long enough"
VARIABLES = {"MBUS_JWT_SECRET": SECRET, "MBUS_JWT_AUDIENCE": "mbus-tests", "MBUS_JWT_ISSUER": "tests"}
TENANT = "7f6c0000-0000-4000-8000-000000000001"


async def verify(printed: str, *, later: timedelta = timedelta(0)) -> Caller:
    verifier = TokenVerifier(
        SharedSecret(SECRET), audience="mbus-tests", issuer="tests", clock=lambda: utc_now() + later
    )
    return await verifier.verify(printed.removesuffix("\n"))


async def test_only_a_token_of_the_tenant_is_printed_good_for_an_hour() -> None:
    ended = await mbus("token", "--tenant", TENANT, variables=VARIABLES)
    assert (ended.code, ended.errors, ended.out.count("\n")) == (0, "", 1)
    assert await verify(ended.out, later=timedelta(minutes=59)) == Caller(
        "mbus-cli", UUID(TENANT), frozenset({"readings:read", "alerts:read"})
    )
    with pytest.raises(TokenError, match="expired"):
        await verify(ended.out, later=timedelta(minutes=61))


async def test_subject_scope_and_time_are_as_was_asked() -> None:
    asked = ("--subject", "nightly-job", "--scope", "alerts:write readings:read", "--expires", "30d")
    ended = await mbus("token", "--tenant", TENANT, *asked, variables=VARIABLES)
    assert await verify(ended.out, later=timedelta(days=29)) == Caller(
        "nightly-job", UUID(TENANT), frozenset({"readings:read", "alerts:write"})
    )


async def test_a_scope_that_is_given_again_is_one_more() -> None:
    asked = ("--scope", "alerts:read", "--scope", "alerts:write")
    ended = await mbus("token", "--tenant", TENANT, *asked, variables=VARIABLES)
    assert (await verify(ended.out)).scopes == frozenset({"alerts:read", "alerts:write"})


async def test_a_token_can_be_narrowed_to_properties() -> None:
    property_ids = frozenset({uuid4(), uuid4()})
    asked = [word for one in property_ids for word in ("--property", str(one))]
    ended = await mbus("token", "--tenant", TENANT, *asked, variables=VARIABLES)
    assert (await verify(ended.out)).reach == Reach(UUID(TENANT), property_ids)
    refused = await mbus("token", "--tenant", TENANT, "--property", "first-floor", variables=VARIABLES)
    assert (refused.code, refused.out) == (2, "")


async def test_a_tenant_can_be_named_by_its_slug(database: Database, engine: AsyncEngine) -> None:
    building = await create_building(engine)
    async with engine.connect() as connection:
        slug = str(await connection.scalar(select(Tenant.slug)))
    variables = VARIABLES | variables_of(database)
    ended = await mbus("token", "--tenant", slug, variables=variables)
    assert (await verify(ended.out)).tenant_id == building.tenant_id
    unknown = await mbus("token", "--tenant", "nobody", variables=variables)
    assert (unknown.code, unknown.out, unknown.errors) == (1, "", "mbus: there is no tenant 'nobody'\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scope", "readings:write"),
        ("--scope", ""),
        ("--expires", "soon"),
        ("--expires", "0s"),
        ("--expires", "3651d"),
    ],
)
async def test_what_no_token_can_have_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    ended = await mbus("token", "--tenant", TENANT, *arguments, variables=VARIABLES)
    assert (ended.code, ended.out) == (2, "")


async def test_a_secret_that_is_too_short_is_named_and_not_shown() -> None:
    ended = await mbus("token", "--tenant", TENANT, variables=VARIABLES | {"MBUS_JWT_SECRET": "hunter2"})
    assert (ended.code, ended.out) == (1, "")
    assert ended.errors == "mbus: MBUS_JWT_SECRET: must be at least 32 bytes long\n"
