"""How a command fails: one line on stderr that says what is wrong, and exit code 1."""

import socket

import asyncpg
from aio_pika.exceptions import AMQPConnectionError, AMQPError, AuthenticationError, ProbableAuthenticationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shared.broker_admin import BrokerAdminError
from shared.migrations.runner import MigrationError
from shared.registry.problems import RegistryError
from shared.settings import SettingsError


class CommandError(Exception):
    """A command cannot do what it was asked; the text is one line for the person who asked, without secrets."""


TOLD: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    # Their text was written for a person.
    ((CommandError, SettingsError, RegistryError, BrokerAdminError, MigrationError), "{}"),
    ((SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError), "the database refused: {}"),
    ((ProbableAuthenticationError, AuthenticationError), "the broker refused the login in MBUS_BROKER_URL: {}"),
    ((AMQPConnectionError,), "the broker in MBUS_BROKER_URL cannot be reached: {}"),
    ((AMQPError,), "the broker refused: {}"),
    ((TimeoutError,), "a server did not answer in time"),
    ((ConnectionError, socket.gaierror), "a server cannot be reached: {}"),
    ((OSError,), "{}"),
)


def one_line(error: BaseException) -> str:
    """What to tell about `error`, in one line."""
    cause = _innermost(error)
    for kinds, told in TOLD:
        if isinstance(error, kinds):
            return _flat(told.format(cause))
    return _flat(f"unexpected {type(error).__name__}: {error} (MBUS_LOG_LEVEL=DEBUG shows where)")


def _innermost(error: BaseException) -> BaseException:
    """The driver's own error, without the statement and its parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def _flat(text: str) -> str:
    return " ".join(text.split())
