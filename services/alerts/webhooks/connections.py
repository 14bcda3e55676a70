"""Connections that are kept for the next webhook to the same endpoint: so many, and for so long.

Calls that are under way are not counted here, and none waits for another: an endpoint that is slow holds up no other.
"""

import ssl
from collections import defaultdict

from httpcore2 import AsyncHTTPConnection, AsyncNetworkBackend, Origin

from services.alerts.webhooks.urls import Endpoint

KEPT_OF_ONE = 32
KEPT_IN_ALL = 256
KEPT_S = 30.0
"""Servers close what is idle after 5 s (Node.js, uvicorn) to 75 s (nginx)."""


class Connections:
    """Those that are idle, by scheme, host and port. What is taken is given back, or closed by who took it."""

    def __init__(self, backend: AsyncNetworkBackend, ssl_context: ssl.SSLContext) -> None:
        self._backend = backend
        self._ssl_context = ssl_context
        self._idle: dict[AsyncHTTPConnection, str] = {}  # in the order in which they were given back
        self._closed = False
        self._idle_at: defaultdict[str, list[AsyncHTTPConnection]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._idle)

    async def take(self, endpoint: Endpoint) -> AsyncHTTPConnection | None:
        """The connection used last, of those that seem open still; None where there is none."""
        while waiting := self._idle_at.get(endpoint.origin):
            connection = waiting[-1]
            self._forget(connection)
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    def fresh(self, endpoint: Endpoint) -> AsyncHTTPConnection:
        """One that connects when it is used."""
        origin = Origin(endpoint.scheme.encode(), endpoint.host.encode(), endpoint.port)
        return AsyncHTTPConnection(
            origin, ssl_context=self._ssl_context, keepalive_expiry=KEPT_S, network_backend=self._backend
        )

    async def give_back(self, connection: AsyncHTTPConnection, endpoint: Endpoint) -> None:
        """Keep it, if it is fit for another request, and let go of what has been kept for too long or is too much."""
        if self._closed or not connection.is_idle():
            await connection.aclose()
            return
        self._idle[connection] = endpoint.origin
        of_one = self._idle_at[endpoint.origin]
        of_one.append(connection)
        surplus = of_one[:1] if len(of_one) > KEPT_OF_ONE else []
        oldest = next(iter(self._idle))
        if oldest not in surplus and (len(self._idle) - len(surplus) > KEPT_IN_ALL or oldest.has_expired()):
            surplus.append(oldest)
        for one in surplus:  # before any is closed, meanwhile others come here
            self._forget(one)
        for one in surplus:
            await one.aclose()

    async def aclose(self) -> None:
        """Close all that are kept, and keep no more."""
        self._closed = True
        while self._idle:
            connection = next(iter(self._idle))
            self._forget(connection)
            await connection.aclose()

    def _forget(self, connection: AsyncHTTPConnection) -> None:
        origin = self._idle.pop(connection)
        waiting = self._idle_at[origin]
        waiting.remove(connection)
        if not waiting:
            del self._idle_at[origin]
