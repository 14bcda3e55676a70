"""Whose fault a failed write is: the data's, or the database's and the way to it."""

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shared.service_database import is_away, was_in_the_way

REFUSED_DATA = ("21", "22", "23", "54")
"""Classes of SQLSTATE (PostgreSQL, appendix A): cardinality, data exception, integrity, program limit."""

SUSPICIOUS = ("53200", "53400", "57014", "XX")
"""Starts of SQLSTATE that a server in need may answer to anything, and a healthy one to a batch that asks too much:
out of memory or of locks, a limit of its configuration (temporary files), a statement that took too long; and what it
calls an internal error or a corrupted page, which may lie where this batch alone goes."""

NOT_WRITABLE = ("53100", "25006")
"""The server answers and takes nothing: its disk is full, or it has become a standby."""


def refuses_data(error: Exception) -> bool:
    """Whether writing the same again would fail again, because of what is written.

    Everything that says nothing about the data counts as passing: a database that is down, full, read-only, being
    migrated or refusing the login, a lost connection, a deadlock, a timeout. An error that has nothing to do with the
    database at all (an encoder that chokes on a value) is the data's fault.
    """
    if is_away(error):
        return False
    cause = _cause(error)
    if isinstance(cause, asyncpg.PostgresError):
        return str(cause.sqlstate).startswith(REFUSED_DATA)
    return not isinstance(cause, SQLAlchemyError | MemoryError)


def suspects_data(error: Exception) -> bool:
    """Whether an error that counts as passing may be the batch's own doing, so that a smaller one might be written."""
    cause = _cause(error)
    if isinstance(cause, asyncpg.PostgresError):
        return str(cause.sqlstate).startswith(SUSPICIOUS)
    return isinstance(cause, MemoryError)


def kind(error: Exception) -> str:
    """What kind of failure it was, in one word out of six, for a metric."""
    if refuses_data(error):
        return "refused"
    if suspects_data(error):
        return "suspicious"
    cause = _cause(error)
    sqlstate = str(getattr(cause, "sqlstate", None) or "")
    if was_in_the_way(error):
        return "conflict"
    if sqlstate.startswith(NOT_WRITABLE):
        return "not_writable"
    return "away" if is_away(error) else "other"


def log_refusal(log: structlog.stdlib.BoundLogger, event: str, error: Exception, **ids: str) -> None:
    """Log that `error` refused what was to be written, without what that was.

    A database's error tells the values of the row, and so only its kind is logged; any other is a fault of the
    program and comes with its traceback.
    """
    cause = _cause(error)
    if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
        log.error(event, error=type(cause).__name__, sqlstate=getattr(cause, "sqlstate", None), **ids)
    else:
        log.error(event, exc_info=error, **ids)


def name_of(error: Exception) -> str:
    """What kind of error it was, as the driver calls it; SQLAlchemy puts many under one name."""
    return type(_cause(error)).__name__


def _cause(error: Exception) -> BaseException:
    return error.driver_exception if isinstance(error, DBAPIError) else error
