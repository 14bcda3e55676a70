"""A connection to the database that notices when the other end is gone, and how long a service waits for an answer.

A server that loses its power, a failover or a firewall that forgets leaves connections on which nothing comes any more
and nothing fails: whoever waits on one waits for ever. And what the server does not know to be dead keeps its locks.
"""

import socket
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

CONNECT_TIMEOUT_S = 10

STATEMENT_TIMEOUT_S = 30.0
"""Where a service has no setting of its own."""

ANSWER_TIMEOUT_S = 40.0
"""Longer than the statement's, by so much whatever that is, so that the server is the one that gives up, where it can.
This is for a server that takes bytes and answers nothing: a frozen one, or a proxy before one that is gone."""

LOCK_TIMEOUT_S = 20.0
"""At most, and shorter than the statement's: who waits for another's lock gets told so, and not that the statement is
too long."""

FREE_CONNECTION_S = 10.0
"""For so long a service waits for a free connection of its pool."""

IDLE_IN_TRANSACTION_S = 20
"""For so long the server keeps the locks of a service that went away in mid-transaction."""

SILENCE_S = 10
"""For so long bytes may stay unacknowledged by the other end's machine, or its keepalives unanswered."""

_OPTIONS = {
    name: value
    for name, value in {
        "TCP_USER_TIMEOUT": SILENCE_S * 1000,  # Linux has it
        "TCP_KEEPIDLE": SILENCE_S // 2,
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": SILENCE_S // 2,
    }.items()
    if hasattr(socket, name)
}


def service_settings(statement_timeout_s: float) -> dict[str, str]:
    """What a service's connections tell the server, so that a statement takes no longer than it may or must."""
    lock_timeout_s = min(LOCK_TIMEOUT_S, statement_timeout_s * LOCK_TIMEOUT_S / STATEMENT_TIMEOUT_S)
    return {
        "lock_timeout": milliseconds(lock_timeout_s),
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
        # What a service asks is over before it would be compiled: 40 ms for a page that takes 3.
        "jit": "off",
    }


def milliseconds(seconds: float) -> str:
    """`seconds` as a setting of PostgreSQL; never 0, which is no limit there."""
    return f"{max(1, round(seconds * 1000))}ms"


class KeptAliveConnection(asyncpg.Connection):
    """An asyncpg connection whose socket is watched by the kernel."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        keep_alive(transport.get_extra_info("socket"))


def keep_alive(connected: socket.socket | None) -> None:
    """Let the kernel end the connection, with an `OSError` for who waits on it, after `SILENCE_S` without a sign."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def leave_what_is_of_no_use(engine: AsyncEngine) -> None:
    """Let `engine` throw all its connections away when one gives no answer, or leads to a standby.

    After a failover the connections to the server that was the primary may work on, read only, and the name in the
    URL may lead elsewhere by now; only a new connection finds out.
    """

    @event.listens_for(engine.sync_engine, "handle_error")
    def look(context: ExceptionContext) -> None:
        error: BaseException = context.original_exception
        if isinstance(error, DBAPIError):
            error = error.driver_exception
        cause = getattr(error, "driver_exception", error)
        if isinstance(cause, TimeoutError | asyncpg.ReadOnlySQLTransactionError):
            context.is_disconnect = True
