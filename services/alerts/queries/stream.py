"""The events of a tenant's live stream, in the order of their numbers, as far as a caller may see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import msgspec

from services.alerts.queries.alerts import IN_PROPERTIES, WITHIN_REACH, reach_arguments
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.problems import ProblemError
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase
from shared.messages.alert_events import MOST_ADDRESSES, AlertEventType
from shared.models import Medium

BATCH = 100
"""Events looked at in one statement: some 100 kB."""

Number = Annotated[int, msgspec.Meta(ge=0, lt=2**63 - 1)]

STANDING = "SELECT newest, removed FROM alert_stream WHERE tenant_id = $1"

# What is told of a gateway's meters is told to a narrowed caller of those within its reach, as in the list of alerts.
METERS_WITHIN_REACH = f"""(
    SELECT jsonb_build_object(
        'installations', count(*), 'properties', count(DISTINCT p.id),
        'addresses', to_jsonb(coalesce(
            (array_agg(DISTINCT p.address ORDER BY p.address))[:{MOST_ADDRESSES}], ARRAY[]::text[])))
    FROM meter_installation i JOIN unit u ON u.id = i.unit_id JOIN property p ON p.id = u.property_id
    WHERE i.tenant_id = $1 AND i.gateway_id = a.gateway_id AND i.deleted_at IS NULL AND p.id = ANY ($2))"""  # noqa: S608

# So many from the place on, whatever is told of them: a filter that lets little through makes no statement long.
AHEAD = """
WITH ahead AS MATERIALIZED (
    SELECT d.id, d.number, d.event_type, d.alert_id FROM delivery d
    WHERE d.tenant_id = $1 AND d.number > $3
    ORDER BY d.number LIMIT {batch}
)
SELECT ahead.number, ahead.event_type, told.event
FROM ahead LEFT JOIN LATERAL (
    SELECT CASE
        WHEN $2::uuid[] IS NULL OR a.gateway_id IS NULL THEN d.event::text
        ELSE jsonb_set(d.event, '{{data}}', (d.event -> 'data') || {meters})::text END AS event
    FROM alert a JOIN delivery d ON d.id = ahead.id
    WHERE a.id = ahead.alert_id AND {within_reach}
      AND ($4::text[] IS NULL OR ahead.event_type = ANY ($4))
      AND ($5::uuid[] IS NULL OR {in_properties})
      AND ($6::text[] IS NULL OR EXISTS (
          SELECT FROM meter_installation i
          WHERE i.tenant_id = $1 AND i.id = a.installation_id AND i.medium = ANY ($6)))
    LIMIT 1
) told ON true
ORDER BY ahead.number"""


class GoneError(ProblemError):
    """Of what is behind the place some is no longer there; a 410."""

    def __init__(self) -> None:
        super().__init__(
            410,
            "Some of what came since is not kept any more. Read GET /alerts for what is open, and begin the stream"
            " without an id.",
        )


@dataclass(frozen=True, slots=True)
class StreamFilters:
    """Which events: all filters hold at once, and of a set one is enough. An empty one is none."""

    types: frozenset[AlertEventType] = frozenset()
    property_ids: frozenset[UUID] = frozenset()
    media: frozenset[Medium] = frozenset()

    @property
    def arguments(self) -> tuple[Sequence[object] | None, ...]:
        """`$4` to `$6` of `AHEAD`; they are also what a place is bound to."""
        return sorted(self.types) or None, sorted(self.property_ids) or None, sorted(self.media) or None


@dataclass(frozen=True, slots=True)
class Live:
    """What a stream is of: what its caller may see and wants to. The places in it are texts that no other takes."""

    reach: Reach
    filters: StreamFilters

    def place(self, number: int) -> str:
        """Behind the event of that number."""
        return encode_cursor((number,), scope=self._scope)

    def number(self, place: str) -> int:
        """The number behind which `place` is; raises `CursorError`."""
        (number,) = decode_cursor(place, tuple[Number], scope=self._scope)
        return number

    @property
    def _scope(self) -> tuple[object, ...]:
        tenant_id, properties = reach_arguments(self.reach)
        return "alerts/stream", tenant_id, properties, self.filters.arguments


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as JSON."""

    number: int
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next events, and up to which number there is nothing more to tell; `more` where there is beyond that."""

    events: Sequence[Told]
    up_to: int
    more: bool


async def events_ahead(database: TenantDatabase, live: Live, *, after: int | None) -> Ahead:
    """What comes behind the number `after`; for None nothing, and from where on there will be.

    Raises `GoneError`, `TenantBusyError` and what a database that is away makes of it.
    """
    async with database.driver_within(live.reach) as connection:
        standing = await connection.fetchrow(STANDING, live.reach.tenant_id)
        newest, removed = (0, 0) if standing is None else standing
        if after is None or after >= newest:
            # It may be more than there is: a database that was restored gives such numbers later.
            return Ahead((), newest if after is None else after, more=False)
        if after < removed:
            raise GoneError
        rows = await connection.fetch(
            AHEAD.format(
                batch=BATCH,
                meters=METERS_WITHIN_REACH,
                within_reach=WITHIN_REACH,
                in_properties=IN_PROPERTIES.format("$5"),
            ),
            *reach_arguments(live.reach),
            after,
            *live.filters.arguments,
        )
    events = [Told(*row) for row in rows if row["event"] is not None]
    more = len(rows) == BATCH
    return Ahead(events, rows[-1]["number"] if more else newest, more)
