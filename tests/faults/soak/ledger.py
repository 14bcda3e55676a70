"""The ledger of a soak. The database compares: millions of readings would not fit into this process."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import BigInteger, DateTime, Uuid

from shared.messages.readings_stored import ReadingsStored
from tests.faults.ledger import Told
from tests.faults.soak.content import BAD_EVERY, CORRECTED, FIRST, METERS, NO_MESSAGE_EVERY, READINGS, VALUE, Content


@dataclass
class Seen:
    """What came out on the broker."""

    told: dict[UUID, Told] = field(default_factory=dict)
    dead_letters: Counter[bytes] = field(default_factory=Counter)

    def hear(self, stored: ReadingsStored) -> None:
        """Take note of an event."""
        for heard in stored.installations:
            before = self.told.get(heard.installation_id, Told(heard.timestamp, 0))
            newest = max(before.newest, heard.timestamp)
            self.told[heard.installation_id] = Told(newest, before.readings + heard.count)


async def compare(
    engine: AsyncEngine, content: Content, seen: Seen, *, messages: int, corrected: set[int], stamped: bool
) -> list[str]:
    """What is lost, there twice, made up or untold after the first `messages` messages, one line each."""
    counts: dict[str, int] = Counter()
    async with engine.connect() as connection:
        for gateway in range(len(content.buildings)):
            counts.update(await _of_gateway(connection, content, gateway, messages=messages, corrected=corrected))
        whole = (await connection.execute(WHOLE)).one()
        counts["readings that nobody sent"] = whole.readings - messages * READINGS
        bad = set(range(0, messages, BAD_EVERY))
        kept = set((await connection.execute(QUARANTINED)).scalars())
        counts["refused readings lost"] = len(bad - kept)
        counts["refused readings that nobody sent"] = len(kept - bad)
        counts["refused readings there twice"] = whole.quarantined - len(kept)
        counts["corrections there twice"] = whole.corrections_twice
        of_installations = {row.id: Told(row.newest, row.readings) for row in await connection.execute(NEWEST)}
    counts["corrections more than were sent"] = max(0, whole.corrections - len(corrected) * READINGS)
    if not stamped:
        # Then a message that was delivered again corrects nothing, and one that was sent twice may undo a correction.
        for of_corrections in (
            "readings with an old value",
            "corrections there twice",
            "corrections more than were sent",
        ):
            del counts[of_corrections]
    letters = {content.no_message(number).body for number in range(0, messages, NO_MESSAGE_EVERY)}
    counts["dead letters lost"] = len(letters - seen.dead_letters.keys())
    counts["messages that should not be dead letters"] = len(seen.dead_letters.keys() - letters)
    nothing = Told(FIRST, 0)
    for id_, there in of_installations.items():
        told = seen.told.get(id_, nothing)
        counts["installations of whose newest reading no event told"] += told.newest < there.newest
        counts["installations of which not every reading was told"] += told.readings < there.readings
    return list(_report(counts))


def _report(counts: dict[str, int]) -> Iterator[str]:
    for what, count in counts.items():
        if count:
            yield f"{count} {what}"


async def _of_gateway(
    connection: AsyncConnection, content: Content, gateway: int, *, messages: int, corrected: set[int]
) -> Counter[str]:
    step = len(content.buildings)
    row = (
        await connection.execute(
            OF_GATEWAY,
            {
                "installations": content.buildings[gateway].installation_ids,
                "corrected": [number // step for number in corrected if number % step == gateway],
                "first": FIRST,
                "readings": content.parts(messages, gateway) * READINGS,
            },
        )
    ).one()
    return Counter(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's name for a row as a dictionary


OF_GATEWAY = text(
    f"""
    WITH sent AS (
        SELECT (CAST(:installations AS uuid[]))[n % {METERS} + 1] AS id, n,
               CAST(:first AS timestamptz) + n / {METERS} * interval '1 hour' AS at,
               n / {READINGS} = ANY (CAST(:corrected AS bigint[])) AS corrected
        FROM generate_series(0, CAST(:readings AS bigint) - 1) AS n
    )
    SELECT count(*) FILTER (WHERE value IS NULL) AS "readings lost",
           count(*) FILTER (WHERE value <> {VALUE} AND NOT (corrected AND value = {CORRECTED}))
               AS "readings with a wrong value",
           count(*) FILTER (WHERE corrected AND value = {VALUE}) AS "readings with an old value"
    FROM sent LEFT JOIN reading ON meter_installation_id = id AND "timestamp" = at
    """
).bindparams(
    bindparam("installations", type_=ARRAY(Uuid())),
    bindparam("corrected", type_=ARRAY(BigInteger())),
    bindparam("first", type_=DateTime(timezone=True)),
    bindparam("readings", type_=BigInteger()),
)
WHOLE = text(
    """
    SELECT (SELECT count(*) FROM reading) AS readings, (SELECT count(*) FROM quarantined_reading) AS quarantined,
           (SELECT count(*) FROM reading_correction) AS corrections,
           (SELECT count(*) - count(DISTINCT (meter_installation_id, "timestamp", old_value)) FROM reading_correction)
               AS corrections_twice
    """
)
QUARANTINED = text("SELECT DISTINCT (convert_from(original, 'utf-8')::json ->> 'n')::bigint FROM quarantined_reading")
NEWEST = text(
    """
    SELECT meter_installation_id AS id, max("timestamp") AS newest, count(*) AS readings
    FROM reading GROUP BY meter_installation_id
    """
)
