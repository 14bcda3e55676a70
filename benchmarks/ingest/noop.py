"""`python -m benchmarks.ingest.noop`: a FastStream handler that does nothing, as an anchor for small messages.

Plain FastStream as its documentation shows it, on uvloop, with ingest's prefetch; `MBUS_NOOP_BROKER_URL`,
`MBUS_NOOP_PREFETCH` and `MBUS_NOOP_PORT` say where. Its metrics count what it handled.
"""

import asyncio
import os
import signal

import uvloop
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from prometheus_client import CollectorRegistry, Counter, start_http_server

from shared import topology


async def consume(url: str, *, prefetch: int, port: int) -> None:
    """Take messages from ingest's queue until SIGTERM."""
    registry = CollectorRegistry()
    handled = Counter("mbus_noop_messages", "Messages handled", registry=registry)
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=prefetch), logger=None)

    @broker.subscriber(RabbitQueue(topology.INGEST_READINGS, declare=False))
    async def on_message(_: dict[str, object]) -> None:
        handled.inc()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    async with broker:
        await broker.start()
        await stop.wait()
    await asyncio.to_thread(server.shutdown)
    server.server_close()
    thread.join()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            consume(
                os.environ["MBUS_NOOP_BROKER_URL"],
                prefetch=int(os.environ["MBUS_NOOP_PREFETCH"]),
                port=int(os.environ["MBUS_NOOP_PORT"]),
            )
        )
