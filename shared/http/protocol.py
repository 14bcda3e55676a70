"""HTTP on the socket: uvicorn's, with an end to what may come before a body, and with errors that are problems."""

from starlette.exceptions import HTTPException
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.http.problems import ProblemError, answer_problem
from shared.http.response_headers import SAFE_HEADERS

HEAD_MAX_BYTES = 64 * 1024
"""Of a request's URL and headers. The server would keep as much as a client sends, before any token is looked at."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _in_head = False
    _head_bytes = 0

    @override
    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What comes in one piece and is complete is bounded by the size of the piece.
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse(ProblemError(431, f"URL and headers may have {HEAD_MAX_BYTES} bytes at most."))

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(ProblemError(400, "This is no HTTP/1.1 request, or its URL is longer than 65,535 bytes."))

    def _refuse(self, error: HTTPException) -> None:
        answer = answer_problem(error)
        head = {"connection": "close", **SAFE_HEADERS, **answer.headers}
        lines = [f"HTTP/1.1 {error.status_code} ", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self.transport.write("\r\n".join(lines).encode("latin-1") + answer.body)
        self.transport.close()
