"""The PostgreSQL and RabbitMQ servers that the tests run against."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Servers:
    """Administrators' URLs of the servers; tests touch only databases and vhosts that they made."""

    database_url: str
    broker_url: str
    management_url: str


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Servers for the tests, running until the block ends."""
    yield Servers(
        os.environ["MBUS_TEST_DATABASE_URL"],
        os.environ["MBUS_TEST_BROKER_URL"],
        os.environ["MBUS_TEST_BROKER_MANAGEMENT_URL"],
    )
