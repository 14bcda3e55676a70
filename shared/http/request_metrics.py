"""Counts and times requests by route template, method and status: never by path, so never by tenant or id."""

import time

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def request_histogram(registry: CollectorRegistry) -> Histogram:
    """The histogram that `RequestMetrics` fills; its `_count` is the number of requests."""
    return Histogram(
        "mbus_http_request_duration_seconds",
        "Time from a request's first byte here to the end of its answer.",
        ("route", "method", "status"),
        buckets=BUCKETS_S,
        registry=registry,
    )


class RequestMetrics:
    """ASGI middleware around everything that answers."""

    def __init__(self, app: ASGIApp, *, histogram: Histogram) -> None:
        self._app = app
        self._histogram = histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"  # what the server answers when the application raises before it answered
        started_at = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._histogram.labels(route, method, status).observe(time.perf_counter() - started_at)
