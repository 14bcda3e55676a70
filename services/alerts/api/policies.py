"""`/policies`: how long a meter may be silent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.alerts.api.wanted_policy import checked
from services.alerts.operations.policies import (
    TargetTakenError,
    create_policy,
    remove_policy,
    replace_policy,
)
from services.alerts.operations.policy_preview import NoPolicyError, preview
from services.alerts.operations.targets import BeyondReachError, NoTargetError
from services.alerts.queries.policies import PoliciesPage, PolicyFilters, one_policy, policies_page
from services.alerts.queries.policy_fields import POLICY_EXAMPLE, Policy, PolicyBody, PreviewBody
from services.alerts.queries.preview_fields import Preview
from shared.clock import Clock
from shared.http.answers import json_answer
from shared.http.authentication import Authenticate
from shared.http.bodies import JsonBody
from shared.http.fields import INSTALLATION_EXAMPLE, PROPERTY_EXAMPLE
from shared.http.pages import LIMIT_DEFAULT, PAGE_RESPONSE, Cursor, Limit, page_answer
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.repeated import TIMES_MAX
from shared.http.tenant_database import SHARE_WAIT_S, TenantDatabase
from shared.http.tenant_share import TenantShare
from shared.http.tokens import Caller
from shared.models import Medium

PolicyPath = Annotated[UUID, Path(description="Which one.", examples=[POLICY_EXAMPLE])]

ONE = "/policies/{policy_id:uuid}"
"""`/policies/preview` is no value of it, so that a method which that has not is a 405."""

NARROWED = "The token is narrowed to some properties: it can change policies of these, and of meters in them."
LOCATION = {
    "Location": {"description": "Where the policy is.", "required": True, "schema": {"type": "string"}},
}


async def which_policies(
    installation_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these meters.", examples=[[INSTALLATION_EXAMPLE]]),
    ] = (),
    property_id: Annotated[
        tuple[UUID, ...],
        Query(max_length=TIMES_MAX, description="Of one of these properties.", examples=[[PROPERTY_EXAMPLE]]),
    ] = (),
    medium: Annotated[tuple[Medium, ...], Query(max_length=TIMES_MAX, description="Of one of these media.")] = (),
) -> PolicyFilters:
    """The filters of the list."""
    return PolicyFilters(frozenset(installation_id), frozenset(property_id), frozenset(medium))


def policies_router(database: TenantDatabase, reader: Authenticate, writer: Authenticate, *, clock: Clock) -> APIRouter:
    """Routes about policies; `reader` and `writer` are the callers that may read and change them."""
    router = APIRouter(tags=["policies"])
    previews = TenantShare(1, wait_s=SHARE_WAIT_S)

    @router.get(
        "/policies",
        summary="Policies",
        description="Those that concern any meter within reach. A filter chooses by what a policy is of: one of a "
        "property is not among those of a meter in it. All filters hold at once; of one that is repeated, any.",
        response_model=PoliciesPage,
        responses={**PAGE_RESPONSE, **problems(400)},
    )
    async def list_policies(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        filters: Annotated[PolicyFilters, Depends(which_policies)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        page = await policies_page(database, reach=caller.reach, filters=filters, cursor=cursor, limit=limit)
        return page_answer(request, page)

    @router.post(
        "/policies",
        summary="Make a policy",
        description="Of a meter, a property, a medium, or without any of these of the whole tenant. Each can have one: "
        "a second one is a 409 that names the first. It holds at once: what is silent for too long by it gets an "
        "alert, what is no longer loses it, and subscribers are told of neither.",
        status_code=201,
        response_model=Policy,
        responses={201: {"headers": LOCATION}, **problems(409)},
    )
    async def make_policy(
        caller: Annotated[Caller, Depends(writer)], wanted: Annotated[PolicyBody, Depends(JsonBody(PolicyBody))]
    ) -> Response:
        with _refusing():
            made = await create_policy(
                database, reach=caller.reach, wanted=checked(wanted), who=caller.subject, now=clock()
            )
        answer = json_answer(made, status_code=201)
        answer.headers["Location"] = f"/policies/{made.id}"
        return answer

    @router.post(
        "/policies/preview",
        summary="What a change of a policy would do",
        description="Of `policy` as a new one, or in place of the one with `policy_id`; of removing that one where "
        "there is no `policy`. Nothing is changed. It is worked out by what had been judged a moment ago; a meter "
        "that is heard meanwhile is no longer silent. One preview of a tenant is made at a time.",
        response_model=Preview,
        responses=problems(404, missing="policy"),
    )
    async def preview_policy(
        caller: Annotated[Caller, Depends(reader)], body: Annotated[PreviewBody, Depends(JsonBody(PreviewBody))]
    ) -> Response:
        if body.policy is None and body.policy_id is None:
            raise BadFieldsError([FieldError("body", "policy", "is missing: give it, or policy_id, or both")])
        wanted = None if body.policy is None else checked(body.policy, "policy.")
        async with previews.place(caller.reach.tenant_id):
            with _refusing("policy."):
                found = await preview(
                    database, reach=caller.reach, policy_id=body.policy_id, wanted=wanted, now=clock()
                )
        return json_answer(found)

    @router.get(
        ONE,
        summary="One policy",
        description="As it was last written.",
        response_model=Policy,
        responses=problems(404, missing="policy"),
    )
    async def get_policy(caller: Annotated[Caller, Depends(reader)], policy_id: PolicyPath) -> Response:
        return _answer(await one_policy(database, reach=caller.reach, policy_id=policy_id))

    @router.put(
        ONE,
        summary="Replace a policy",
        description="As a whole: what is left out has its default, and what it is of may be another. It holds at once, "
        "as a new one does.",
        response_model=Policy,
        responses=problems(404, missing="policy") | problems(409),
    )
    async def put_policy(
        caller: Annotated[Caller, Depends(writer)],
        policy_id: PolicyPath,
        wanted: Annotated[PolicyBody, Depends(JsonBody(PolicyBody))],
    ) -> Response:
        with _refusing():
            written = await replace_policy(
                database,
                reach=caller.reach,
                policy_id=policy_id,
                wanted=checked(wanted),
                who=caller.subject,
                now=clock(),
            )
        return _answer(written)

    @router.delete(
        ONE,
        summary="Remove a policy",
        description="What it held for is judged by the next most specific one at once.",
        status_code=204,
        response_class=Response,
        responses=problems(404, missing="policy"),
    )
    async def delete_policy(caller: Annotated[Caller, Depends(writer)], policy_id: PolicyPath) -> Response:
        with _refusing():
            if not await remove_policy(database, reach=caller.reach, policy_id=policy_id):
                raise ProblemError(404, "No such policy.")
        return Response(status_code=204)

    return router


@contextmanager
def _refusing(within: str = "") -> Iterator[None]:
    """Answer what a change is refused for; `within` is the way to the policy in the body."""
    try:
        yield
    except NoPolicyError:
        raise ProblemError(404, "No such policy.") from None
    except BeyondReachError:
        raise ProblemError(403, NARROWED) from None
    except NoTargetError as error:
        raise BadFieldsError([FieldError("body", f"{within}{error.field}", str(error))]) from None
    except TargetTakenError as error:
        which = "one" if error.policy is None else str(error.policy.id)
        raise ProblemError(409, f"What it is to be of has a policy already: {which}. Replace that one.") from None


def _answer(policy: Policy | None) -> Response:
    if policy is None:
        raise ProblemError(404, "No such policy.")
    return json_answer(policy)
