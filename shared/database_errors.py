"""Whose fault a failed write is: the data's, or the database's and the way to it."""

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shared.service_database import is_away

REFUSED_DATA = ("21", "22", "23", "54")
"""Classes of SQLSTATE (PostgreSQL, appendix A): cardinality, data exception, integrity, program limit."""


def refuses_data(error: Exception) -> bool:
    """Whether writing the same again would fail again, because of what is written.

    Everything that says nothing about the data counts as passing: a database that is down, full, read-only, being
    migrated or refusing the login, a lost connection, a deadlock, a timeout. An error that has nothing to do with the
    database at all (an encoder that chokes on a value) is the data's fault.
    """
    if is_away(error):
        return False
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    if isinstance(cause, asyncpg.PostgresError):
        return str(cause.sqlstate).startswith(REFUSED_DATA)
    return not isinstance(cause, SQLAlchemyError | MemoryError)


def log_refusal(log: structlog.stdlib.BoundLogger, event: str, error: Exception, **ids: str) -> None:
    """Log that `error` refused what was to be written, without what that was.

    A database's error tells the values of the row, and so only its kind is logged; any other is a fault of the
    program and comes with its traceback.
    """
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
        log.error(event, error=type(cause).__name__, sqlstate=getattr(cause, "sqlstate", None), **ids)
    else:
        log.error(event, exc_info=error, **ids)
