"""A receiver of webhooks that does next to nothing, so that it is not what is measured."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from standardwebhooks import Webhook
from typing_extensions import override

from benchmarks.errors import BenchError

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
VERIFIED_EACH = 100
"""Of so many one signature is looked at: to look at all would take as long as to send them."""
STUCK_S = 30.0


class Arrivals:
    """What has come so far, by `webhook-id`."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.ids: set[str] = set()
        self.attempts = 0
        self.first_at = self.last_at = 0.0
        """By `time.perf_counter`."""

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Note one; raises where its signature is bad."""
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        if self.attempts % VERIFIED_EACH == 0:
            self._webhook.verify(body, headers)
        self.attempts += 1
        self.ids.add(headers["webhook-id"])

    async def wait_for(self, count: int) -> None:
        """Return when so many have come; `BenchError` when none does for long."""
        while len(self.ids) < count:
            before = len(self.ids)
            for _ in range(int(STUCK_S / 0.02)):
                await asyncio.sleep(0.02)
                if len(self.ids) != before:
                    break
            else:
                raise BenchError(f"nothing came for {STUCK_S:.0f} s, after {before:,} of {count:,} webhooks")


class _Connection(asyncio.Protocol):
    """Requests one after the other, each with a Content-Length."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._buffer = bytearray()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # of a TCP server; uvloop's is none by its class

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            whole = end + 4 + int(headers["content-length"])
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            self._arrivals.take(headers, body)
            self._transport.write(NO_CONTENT)


@asynccontextmanager
async def receiving(secret: str) -> AsyncIterator[tuple[str, Arrivals]]:
    """The URL of a receiver on this machine, and what comes to it, until the block ends."""
    arrivals = Arrivals(secret)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: _Connection(arrivals), "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alerts", arrivals
