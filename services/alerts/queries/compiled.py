"""Statements of SQLAlchemy for the bare driver, in whose transactions callers are answered."""

from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg


class NamedRecord(asyncpg.Record):
    """A row whose columns are attributes too, as those of SQLAlchemy's rows are."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def compiled(statement: Select[*tuple[Any, ...]]) -> tuple[Any, ...]:
    """The text of `statement` and its arguments, as the driver takes them."""
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
    text = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return str(text), *(text.params[name] for name in text.positiontup or ())
