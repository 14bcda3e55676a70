"""Who comes in, and who is told to wait."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID, uuid4

import httpx2
from fastapi import Depends, FastAPI

from shared.clock import utc_now
from shared.http.authentication import caller_with
from shared.http.jwks import JwksKeys
from shared.http.rate_limit import RateLimit
from shared.http.token_verifier import Keys, SharedSecret, TokenVerifier
from shared.http.tokens import Caller, issue_token
from tests.shared.http.apps import client_of, create
from tests.shared.http.issuer import RSA, Issuer, signed_by

SECRET = "a secret of the tests, long enough"


def create_things(*, keys: Keys | None = None, burst: int = 2) -> FastAPI:
    app = create()
    tokens = TokenVerifier(keys or SharedSecret(SECRET), audience="mbus", issuer=None, clock=utc_now)
    reader = caller_with("readings:read", tokens, RateLimit(per_s=0.1, burst=burst))

    @app.get("/things")
    async def things(caller: Annotated[Caller, Depends(reader)], size: int = 1) -> str:
        return f"{caller.subject} {size}"

    return app


def headers(tenant_id: UUID, *, secret: str = SECRET, scheme: str = "Bearer") -> dict[str, str]:
    token = issue_token(
        secret=secret,
        audience="mbus",
        issuer=None,
        subject="someone",
        tenant_id=tenant_id,
        scopes=["readings:read"],
        now=utc_now(),
        lifetime=timedelta(minutes=5),
    )
    return {"Authorization": f"{scheme} {token}"}


async def test_a_tenant_that_asks_too_much_is_told_when_to_try_again_and_others_are_not() -> None:
    greedy, modest = uuid4(), uuid4()
    async with client_of(create_things(burst=2)) as client:
        answers = [await client.get("/things", headers=headers(greedy)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        refused = answers[-1]
        assert (refused.headers["content-type"], refused.json()["title"]) == (
            "application/problem+json",
            "Too Many Requests",
        )
        assert refused.headers["retry-after"] == "10"
        assert (await client.get("/things", headers=headers(modest))).status_code == 200
        metrics = (await client.get("/metrics")).text
    assert 'mbus_http_request_duration_seconds_count{method="GET",route="/things",status="429"} 1.0' in metrics
    assert str(greedy) not in metrics


async def test_a_stranger_cannot_use_up_the_share_of_a_tenant() -> None:
    tenant_id = uuid4()
    forged = headers(tenant_id, secret="another secret that is long enough")
    async with client_of(create_things(burst=1)) as client:
        for _ in range(5):
            assert (await client.get("/things", headers=forged)).status_code == 401
        assert (await client.get("/things", headers=headers(tenant_id))).status_code == 200


async def test_what_is_refused_for_its_parameters_counts_too() -> None:
    async with client_of(create_things(burst=1)) as client:
        caller = headers(uuid4())
        assert (await client.get("/things?sise=1", headers=caller)).status_code == 422
        assert (await client.get("/things", headers=caller)).status_code == 429


async def test_the_scheme_may_be_written_in_any_case() -> None:
    async with client_of(create_things()) as client:
        assert (await client.get("/things", headers=headers(uuid4(), scheme="bEaReR"))).status_code == 200


async def test_while_the_keys_of_the_issuer_cannot_be_had_it_is_a_503_and_no_refusal() -> None:
    issuer = Issuer({"1": RSA})
    issuer.answer = httpx2.ConnectError("nobody there")
    keys = JwksKeys("https://issuer.example/keys", transport=issuer.transport)
    token = signed_by(
        RSA, {"sub": "someone", "aud": "mbus", "tenant_id": str(uuid4()), "exp": 4102444800}, {"kid": "1"}
    )
    async with keys.open(), client_of(create_things(keys=keys)) as client:
        answer = await client.get("/things", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0
