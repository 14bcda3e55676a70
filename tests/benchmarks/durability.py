"""Whether the servers of the tests keep what they confirm: a bench refuses those that do not."""

from sqlalchemy import text

from benchmarks.place import DURABILITY
from shared.database import open_engine
from tests.support.servers import Servers


async def keeps_what_it_confirms(servers: Servers) -> bool:
    """Whether a bench may run on them."""
    async with open_engine(servers.database_url, application_name="mbus-tests") as admin, admin.connect() as connection:
        return all([await connection.scalar(text(f"SHOW {setting}")) == "on" for setting in DURABILITY])
