"""HTTP on the socket: uvicorn's, with an end to what may come before a body, and with errors that are problems."""

from starlette.exceptions import HTTPException
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.http.problems import ProblemError, answer_problem
from shared.http.response_headers import SAFE_HEADERS
from shared.http.streams import ABORT

HEAD_MAX_BYTES = 64 * 1024
"""Of a request's URL and headers, and of what follows its body. The server would keep as much as a client sends."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _in_message = False
    _in_body = False
    _piece_bytes = 0
    _head_bytes = 0
    """Since the message began, or its last bit of body."""

    @override
    def on_message_begin(self) -> None:
        self._in_message, self._in_body, self._head_bytes = True, False, self._piece_bytes
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a body in chunks looks like headers, and is none: the request is under way.
        if not self._in_body:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_body, self._head_bytes = True, 0

    @override
    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._in_message = self._in_body = False
        super().on_message_complete()

    @override
    def data_received(self, data: bytes) -> None:
        self._piece_bytes = len(data)
        self._head_bytes += len(data)
        super().data_received(data)
        # What comes in one piece and is complete is bounded by the size of the piece.
        if self._in_message and self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            self._refuse(ProblemError(431, f"URL and headers may have {HEAD_MAX_BYTES} bytes at most."))

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(ProblemError(400, "This is no HTTP/1.1 request, or its URL is longer than 65,535 bytes."))

    def _refuse(self, error: HTTPException) -> None:
        """Close the connection, and say why where the next answer is the refused request's."""
        if self._is_next_to_be_answered():
            answer = answer_problem(error)
            head = {"connection": "close", **SAFE_HEADERS, **answer.headers}
            lines = [f"HTTP/1.1 {error.status_code} ", *(f"{name}: {value}" for name, value in head.items()), "", ""]
            self.transport.write("\r\n".join(lines).encode("latin-1") + answer.body)
        self.transport.close()

    def _is_next_to_be_answered(self) -> bool:
        if self._in_body:
            return not self.pipeline and not self.cycle.response_started
        # At first there is none, which uvicorn's type leaves out.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]
