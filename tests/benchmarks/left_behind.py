"""What a run of a bench leaves on the server, whatever else runs there."""

import pytest
from sqlalchemy import text

from benchmarks import database
from shared.database import open_engine


class Made:
    """The names that a test's runs gave to their databases and logins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        new_name = database.new_name

        def remembered() -> str:
            self.names.append(new_name())
            return self.names[-1]

        monkeypatch.setattr(database, "new_name", remembered)

    async def left_behind(self, server_url: str) -> list[str]:
        """Those that are still there."""
        async with open_engine(server_url, application_name="mbus-tests") as admin, admin.connect() as connection:
            left = await connection.scalars(
                text(
                    "SELECT datname FROM pg_database WHERE datname = ANY (:names)"
                    " UNION ALL SELECT rolname FROM pg_roles, unnest(cast(:names AS text[])) AS name"
                    " WHERE starts_with(rolname, name)"
                ),
                {"names": self.names},
            )
            return list(left)
