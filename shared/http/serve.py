"""Runs a service: one process, one port, a clean stop; what it cannot start with is said in one line."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn, TypeVar

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from shared.database import TooPowerfulRoleError
from shared.http.app import HttpApp
from shared.http.protocol import HttpProtocol
from shared.logs import configure_logs, get_logger
from shared.settings import ServiceSettings, SettingsError, load

GRACE_PERIOD_S = 20
REFUSED = 2
"""Exit code of a service that could not start with what it was given."""

S = TypeVar("S", bound=ServiceSettings)

log = get_logger(__name__)


class ListenError(Exception):
    """The port cannot be had. The text is one line and names it."""


def run_service(settings: type[S], create_app: Callable[[S], FastAPI], *, name: str) -> NoReturn:
    """Read the settings, serve until SIGTERM or SIGINT, and end the process.

    Exit code 0 after a clean stop; `REFUSED`, with one line on stderr, for a bad setting, a port that is taken or a
    database role with too much power.
    """
    refusals: list[BaseException] = []
    try:
        loaded = load(settings)
        configure_logs(loaded.log_level, service=name)
        serve(create_app(loaded), host=loaded.host, port=loaded.port)
    except* (SettingsError, ListenError, TooPowerfulRoleError) as group:
        refusals = list(_leaves(group))
    for refusal in refusals:
        sys.stderr.write(f"{name}: {refusal}\n")
    sys.exit(REFUSED if refusals else 0)


def serve(app: FastAPI, *, host: str, port: int, grace_period_s: int = GRACE_PERIOD_S) -> None:
    """Serve `app` until SIGTERM or SIGINT, which give running requests `grace_period_s` seconds.

    Raises `ListenError`, and what the app's lifespan raises.
    """
    with _listen(host, port) as listener:
        server = create_server(app, grace_period_s=grace_period_s)
        with _stop_signals(server):
            factory = server.config.get_loop_factory()
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_serve(app, server, listener))


def create_server(app: FastAPI, *, grace_period_s: int = GRACE_PERIOD_S) -> uvicorn.Server:
    """The server of `app`, which does not enter its lifespan."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=grace_period_s,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Tells the application that it stops before it waits for what runs: streams that have no end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if isinstance(self._app, HttpApp):
            self._app.stopping.set()
        await super().shutdown(sockets)


async def _serve(app: FastAPI, server: uvicorn.Server, listener: socket.socket) -> None:
    # The lifespan is entered here and not by uvicorn, which would log what it raises and swallow it.
    async with app.router.lifespan_context(app):
        host, port = listener.getsockname()[:2]
        log.info("http.listening", host=host, port=port)
        await server.serve(sockets=[listener])


@contextmanager
def _stop_signals(server: uvicorn.Server) -> Iterator[None]:
    """A signal during the start counts as one to the server; the one that uvicorn repeats after a stop is nothing."""

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as unless_it_listens:
            listener = unless_it_listens.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # At once: of two services that are given one port, the second is to hear of it now.
            listener.listen(2048)
            unless_it_listens.pop_all()
    except OSError as error:
        raise ListenError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
