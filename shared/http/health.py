"""`/livez`, `/readyz` and `/metrics`: what an orchestrator and Prometheus ask of every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import Field

from shared.http.answers import json_answer
from shared.logs import get_logger

Check = Callable[[], Awaitable[None]]
"""Raises, with any exception, while that part is not ready."""

Detail = Callable[[], str]
"""Says, in words and from memory, how a part stands that does not make the service unavailable."""

CHECK_TIMEOUT_S = 2.0

NOT_READY = {"status": "unavailable", "checks": {"database": "DatabaseAwayError"}, "details": {}}

log = get_logger(__name__)


@dataclass(slots=True)
class Liveness:
    """The process serves."""

    status: Annotated[Literal["ok"], Field(description="Always the same.")] = "ok"


@dataclass(slots=True)
class Readiness:
    """Whether the service can do its work now; `checks` maps each part to `ok` or to what kind of failure it met.

    `details` are for people: what is worth knowing besides, and takes nothing from `status`.
    """

    status: Annotated[Literal["ok", "unavailable"], Field(description="`ok` when every check is.")]
    checks: Annotated[dict[str, str], Field(description="What became of each check.", examples=[{"database": "ok"}])]
    details: Annotated[dict[str, str], Field(description="How other parts stand, in words.", examples=[{}])]


def health_router(
    readiness: Mapping[str, Check],
    registry: CollectorRegistry,
    *,
    details: Mapping[str, Detail] | None = None,
    check_timeout_s: float = CHECK_TIMEOUT_S,
) -> APIRouter:
    """The three routes; every check is asked at once, for at most `check_timeout_s` seconds. `details` always answer.

    `/metrics` asks them too, so that `mbus_ready` is true at each scrape.
    """
    router = APIRouter(tags=["operations"])
    ready_gauge = Gauge("mbus_ready", "1 while that part is ready, as /readyz sees it", ["check"], registry=registry)

    @router.get("/livez", summary="Whether the process serves", response_model=Liveness)
    async def livez() -> Response:
        """It asks no other part: a database that is away is no reason to start the process anew."""
        return json_answer(Liveness())

    @router.get(
        "/readyz",
        summary="Whether the service can do its work",
        response_model=Readiness,
        responses={
            503: {
                "model": Readiness,
                "description": "A part that the service needs is not ready.",
                "content": {"application/json": {"example": NOT_READY}},
            }
        },
    )
    async def readyz() -> Response:
        """Every part is asked at once, for two seconds at most. Others should send nothing while this is a 503."""
        outcomes = await _outcomes()
        ready = all(outcome == "ok" for outcome in outcomes.values())
        told = {name: detail() for name, detail in (details or {}).items()}
        status: Literal["ok", "unavailable"] = "ok" if ready else "unavailable"
        return json_answer(Readiness(status, outcomes, told), status_code=200 if ready else 503)

    async def _outcomes() -> dict[str, str]:
        outcomes = await asyncio.gather(*(_outcome(name, check) for name, check in readiness.items()))
        for name, outcome in zip(readiness, outcomes, strict=True):
            ready_gauge.labels(name).set(outcome == "ok")
        return dict(zip(readiness, outcomes, strict=True))

    async def _outcome(name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(check_timeout_s):
                await check()
        except Exception as error:  # noqa: BLE001 - whatever a check raises means "not ready"; the log has the rest
            log.warning("readiness.failed", check=name, error=str(error), kind=type(error).__name__)
            return type(error).__name__
        return "ok"

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        await _outcomes()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
