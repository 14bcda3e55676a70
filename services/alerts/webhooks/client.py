"""Posts a webhook to an endpoint and says what it answered, within a bounded time and a bounded number of bytes.

No redirect is followed, no cookie kept, no proxy of the environment used, and of an answer only the status and
`Retry-After` are looked at. What comes of it is decided in `outcomes`.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Self

from httpcore2 import (
    URL,
    AsyncHTTPConnection,
    NetworkError,
    RemoteProtocolError,
    Request,
    Response,
    default_ssl_context,
)

from services.alerts.webhooks.allow_list import AllowList
from services.alerts.webhooks.connecting import AnswerTooLongError, ClosedBeforeAnswerError, JudgingBackend
from services.alerts.webhooks.connections import Connections
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.outcomes import Answer
from services.alerts.webhooks.resolving import Resolver
from services.alerts.webhooks.urls import Endpoint, UnusableUrl, check_url

TIMEOUT_S = 15.0
"""For a whole call. Standard Webhooks recommends 15 to 30 s; an alert that waits makes others wait."""

USER_AGENT = "mbus-alerts"
RETRY_AFTER_MAX_CHARACTERS = 100


class WebhookClient:
    """Posts webhooks, as many at once as it is asked to, while it is entered.

    It connects to public addresses, and to what is `allowed`. `timeout_s` is for a call as a whole: name, connection,
    TLS, request and answer. Certificates are verified by those that the machine trusts (`SSL_CERT_FILE`), or by
    `ssl_context`; names are looked up at the machine's name servers, or at `nameservers` (`127.0.0.1:5353`).
    """

    def __init__(
        self,
        *,
        allowed: AllowList,
        timeout_s: float = TIMEOUT_S,
        ssl_context: ssl.SSLContext | None = None,
        nameservers: Sequence[str] | None = None,
    ) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._ssl_context = ssl_context
        self._nameservers = nameservers
        self._connections: Connections | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        ssl_context = self._ssl_context or default_ssl_context()
        resolver = Resolver(self._nameservers)
        self._open.push_async_callback(resolver.aclose)
        self._connections = Connections(JudgingBackend(resolver, self._allowed), ssl_context)
        self._open.push_async_callback(self._connections.aclose)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections = None
        await self._open.aclose()

    @property
    def kept(self) -> int:
        """How many connections wait for the next webhook to their endpoints."""
        return 0 if self._connections is None else len(self._connections)

    async def post(self, endpoint: Endpoint | str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The endpoint's answer to `body`. `headers` are what is said of it; the client adds its own.

        `WebhookFailure` where no status came. A body that comes slowly or breaks off changes nothing of the status.
        On a connection that was closed while it was kept, it is sent once more on a new one: receivers know a webhook
        that comes twice by its id.
        """
        connections = self._connections
        assert connections is not None, "the client was not entered"  # noqa: S101 - a fault of this program
        target = self._checked(endpoint)
        request = _request(target, body, headers)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection, response = await self._answered(connections, target, request)
                answer = Answer(response.status, _retry_after(response))
                await _read_off(response)
                await connections.give_back(connection, target)
        except TimeoutError:
            if answer is None:
                raise WebhookFailure(
                    FailureKind.TIMED_OUT, f"The endpoint did not answer within {self._timeout_s:g} seconds."
                ) from None
        return answer

    def _checked(self, endpoint: Endpoint | str) -> Endpoint:
        """Judged by what is allowed now, whatever it was when the URL was given."""
        try:
            return check_url(endpoint if isinstance(endpoint, str) else endpoint.url, self._allowed)
        except UnusableUrl as error:
            raise WebhookFailure(FailureKind.URL_REFUSED, str(error)) from None

    async def _answered(
        self, connections: Connections, endpoint: Endpoint, request: Request
    ) -> tuple[AsyncHTTPConnection, Response]:
        kept = await connections.take(endpoint)
        if kept is not None:
            try:
                return kept, await _send(kept, request)
            except ClosedBeforeAnswerError:
                pass  # while it was kept, as it seems; the others may be closed too
        connection = connections.fresh(endpoint)
        try:
            return connection, await _send(connection, request)
        except ClosedBeforeAnswerError as error:
            raise WebhookFailure(
                FailureKind.NO_ANSWER, "The endpoint closed the connection without an answer."
            ) from error


async def _send(connection: AsyncHTTPConnection, request: Request) -> Response:
    """The answer, with its body still to come. Where there is none, the connection is closed."""
    try:
        return await connection.handle_async_request(request)
    except AnswerTooLongError as error:
        raise WebhookFailure(FailureKind.BROKEN_ANSWER, "The headers of the endpoint's answer are too long.") from error
    except (RemoteProtocolError, NetworkError, ssl.SSLError) as error:
        # Their texts repeat what was received.
        raise WebhookFailure(FailureKind.BROKEN_ANSWER, "The endpoint's answer is not proper HTTP/1.1.") from error


async def _read_off(response: Response) -> None:
    """Read the body, so that the connection can be used again; one that is too long or breaks off closes it."""
    try:
        async with aclosing(response.aiter_stream()) as parts:
            async for _ in parts:
                pass
    except (AnswerTooLongError, ClosedBeforeAnswerError, RemoteProtocolError, NetworkError, ssl.SSLError):
        pass  # the status has been told, and the connection is closed
    finally:
        await response.aclose()


def _request(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Request:
    return Request(
        b"POST",
        URL(scheme=endpoint.scheme, host=endpoint.host, port=endpoint.port, target=endpoint.target),
        headers=[
            ("Host", endpoint.authority),
            ("User-Agent", USER_AGENT),
            ("Accept", "*/*"),
            ("Content-Length", str(len(body))),
            *headers.items(),
        ],
        content=body,
    )


def _retry_after(response: Response) -> str | None:
    for name, value in response.headers:
        if name.lower() == b"retry-after":
            return value.decode("latin-1")[:RETRY_AFTER_MAX_CHARACTERS]
    return None
