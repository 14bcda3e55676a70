"""The FastAPI application that every service starts from: health, metrics, problem+json, documentation."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from typing_extensions import override

from shared.http.body_limit import BODY_MAX_BYTES, BodyLimit
from shared.http.departures import StopForDepartures
from shared.http.docs_page import docs_router
from shared.http.health import Check, health_router
from shared.http.methods import HeadAsGet
from shared.http.openapi import document_errors
from shared.http.openapi_shapes import document_shapes
from shared.http.problems import answer_with_problems
from shared.http.request_metrics import RequestMetrics, request_histogram
from shared.http.response_headers import SafeHeaders

OPERATIONS = {"operations": "For who runs the service; these need no token."}

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class HttpApp(FastAPI):
    """A FastAPI whose OpenAPI document says what its answers really look like."""

    @override
    def openapi(self) -> dict[str, Any]:
        """The document; making it again changes nothing."""
        document = super().openapi()
        document_errors(document)
        document_shapes(document)
        return document


def create_http_app(
    *,
    title: str,
    description: str,
    lifespan: Lifespan,
    readiness: Mapping[str, Check],
    registry: CollectorRegistry,
    tags: Mapping[str, str] | None = None,
    body_max_bytes: int = BODY_MAX_BYTES,
) -> FastAPI:
    """An application with `/livez`, `/readyz`, `/metrics`, `/docs` and `/openapi.json`, to which routers are added.

    `readiness` maps the name of each part to a check that raises while it is not ready, `tags` each subject of the
    routes to what it is about. Errors are problem+json (RFC 9457), a database that is away is a 503 whichever route met
    it, and a request whose client has gone is stopped.
    """
    app = HttpApp(
        title=title,
        description=description,
        version="1",
        servers=[{"url": "/", "description": "Where this document was fetched from."}],
        openapi_tags=[{"name": name, "description": about} for name, about in {**(tags or {}), **OPERATIONS}.items()],
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own loads its scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(health_router(readiness, registry))
    app.include_router(docs_router(title))
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit, max_bytes=body_max_bytes)
    app.add_middleware(StopForDepartures)
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestMetrics, histogram=request_histogram(registry))
    app.add_middleware(HeadAsGet)
    answer_with_problems(app)
    return app
