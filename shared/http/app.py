"""The FastAPI application that every service starts from: health, metrics, problem+json, documentation."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from typing_extensions import override

from shared.http.bodies import document_bodies
from shared.http.body_limit import BODY_MAX_BYTES, BodyLimit
from shared.http.departures import StopForDepartures
from shared.http.docs_page import docs_router
from shared.http.health import Check, Detail, health_router
from shared.http.methods import HeadAsGet
from shared.http.openapi import document_errors
from shared.http.openapi_shapes import document_shapes
from shared.http.problems import answer_with_problems
from shared.http.request_metrics import RequestMetrics, request_histogram
from shared.http.response_headers import SafeHeaders

OPERATIONS = {"operations": "For who runs the service; these need no token."}

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class HttpApp(FastAPI):
    """A FastAPI whose OpenAPI document says what its answers really look like, and is made once."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._described: dict[str, Any] | None = None
        self._encoded: dict[str, bytes] = {}
        self.stopping = asyncio.Event()
        """Set when the server is told to stop: what would go on for ever ends then."""

    @override
    def openapi(self) -> dict[str, Any]:
        """The document; it is another one when routes were added."""
        document = super().openapi()
        if document is not self._described:
            document_bodies(document, self.routes)
            document_errors(document)
            document_shapes(document)
            self._described, self._encoded = document, {}
        return document

    def openapi_json(self, root_path: str) -> bytes:
        """The document for those who meet the service under `root_path`, as the server or its mounts say."""
        document = self.openapi()
        if root_path not in self._encoded:
            here = [{"url": root_path}] if root_path else []
            self._encoded[root_path] = msgspec.json.encode({**document, "servers": [*here, *document["servers"]]})
        return self._encoded[root_path]


def create_http_app(
    *,
    title: str,
    description: str,
    lifespan: Lifespan,
    readiness: Mapping[str, Check],
    registry: CollectorRegistry,
    details: Mapping[str, Detail] | None = None,
    tags: Mapping[str, str] | None = None,
    body_max_bytes: int = BODY_MAX_BYTES,
) -> HttpApp:
    """An application with `/livez`, `/readyz`, `/metrics`, `/docs` and `/openapi.json`, to which routers are added.

    `readiness` maps the name of each part to a check that raises while it is not ready, `details` that of others to
    how they stand, `tags` each subject of the routes to what it is about. Errors are problem+json (RFC 9457), a
    database that is away is a 503 whichever route met it, and a request whose client has gone is stopped.
    """
    app = HttpApp(
        title=title,
        description=description,
        version="1",
        servers=[{"url": "/", "description": "Where this document was fetched from."}],
        openapi_tags=[{"name": name, "description": about} for name, about in {**(tags or {}), **OPERATIONS}.items()],
        lifespan=lifespan,
        openapi_url=None,  # FastAPI's own encodes the document for each request
        docs_url=None,  # FastAPI's own loads its scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(health_router(readiness, registry, details=details))
    app.include_router(docs_router(title, app.openapi_json))
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit, max_bytes=body_max_bytes)
    app.add_middleware(StopForDepartures)
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestMetrics, histogram=request_histogram(registry))
    app.add_middleware(HeadAsGet)
    answer_with_problems(app)
    return app
