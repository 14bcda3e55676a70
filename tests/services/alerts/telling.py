"""Events as transitions would have made them, for tests of what becomes of them."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

TELL = text(
    "INSERT INTO delivery (id, alert_id, tenant_id, event_type, event)"
    " SELECT :id, id, tenant_id, :type, cast(:event AS jsonb) FROM alert WHERE id = :alert_id"
)


async def tell_of(
    connection: AsyncConnection, alert_id: UUID, /, *, kind: str = "installation.stale", **data: Any
) -> UUID:
    """Make an event of the alert in an open transaction; returns its id."""
    event_id = uuid4()
    event = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/mbus/alerts",
        "type": kind,
        "time": datetime(2026, 11, 1, 12, tzinfo=UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"alert_id": str(alert_id), **data},
    }
    made = {"id": event_id, "alert_id": alert_id, "type": kind, "event": json.dumps(event)}
    assert (await connection.execute(TELL, made)).rowcount == 1
    return event_id


async def tell(engine: AsyncEngine, alert_id: UUID, /, *, kind: str = "installation.stale", **data: Any) -> UUID:
    """The same in a transaction of its own."""
    async with engine.begin() as connection:
        return await tell_of(connection, alert_id, kind=kind, **data)
