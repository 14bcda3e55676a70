"""Whose alerts a page may show, where these are few: then their alerts are looked up, however rare they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.http.reach import Reach
from shared.http.tenant_database import Connection
from shared.models import Medium

MOST = 1000
"""Meters whose newest alerts are looked up one by one; of more of them a page is found soon by going back in time."""

# `$1` is the tenant, `$2` the properties in reach and in the filter, or NULL for all.
SELECTED = """
    SELECT i.id, i.gateway_id FROM meter_installation i
    WHERE i.tenant_id = $1
      AND ($2::uuid[] IS NULL OR i.unit_id IN (SELECT u.id FROM unit u WHERE u.property_id = ANY ($2)))
      AND ($3::uuid[] IS NULL OR i.id = ANY ($3))
      AND ($4::text[] IS NULL OR i.gateway_id = ANY ($4))
      AND ($5::text[] IS NULL OR i.medium = ANY ($5))
    LIMIT $6"""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Meters by their ids, gateways, places and media; None for any. All hold at once."""

    installation_ids: Sequence[UUID] | None
    gateway_ids: Sequence[str] | None
    property_ids: Sequence[UUID] | None
    media: Sequence[Medium] | None

    @property
    def arguments(self) -> tuple[Sequence[object] | None, ...]:
        """In the order of the fields."""
        return self.installation_ids, self.gateway_ids, self.property_ids, self.media


async def few(connection: Connection, reach: Reach, subjects: Subjects) -> tuple[list[UUID], list[str]] | None:
    """The meters and the gateways that these are, within `reach`; None where they are many, or all.

    A gateway is where the meters are that are expected by it; with ids or media of meters there is none.
    """
    properties = subjects.property_ids
    if properties is None and reach.property_ids is not None:
        properties = sorted(reach.property_ids)
    wanted = (properties, subjects.installation_ids, subjects.gateway_ids, subjects.media)
    if all(one is None for one in wanted):
        return None
    rows = await connection.fetch(SELECTED, reach.tenant_id, *wanted, MOST + 1)
    if len(rows) > MOST:
        return None
    if subjects.installation_ids is not None or subjects.media is not None:
        gateways = set[str]()
    elif properties is None:
        gateways = set(subjects.gateway_ids or ())
    else:
        gateways = {row["gateway_id"] for row in rows if row["gateway_id"] is not None}
    return [row["id"] for row in rows], sorted(gateways)
