"""Times as the database counts them: microseconds since the start of 2000 in UTC, which compare and encode fast."""

from datetime import UTC, datetime, timedelta

from services.ingest.fields import read_time

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL's binary timestamps count from (src/include/datatype/timestamp.h)."""

NO_MOMENT = 2**63 - 1
"""Later than anything that can be accepted: what a text is read as that tells no moment."""

_MICROSECOND = timedelta(microseconds=1)


def moment(time: datetime) -> int:
    """Microseconds from 2000 to an aware `time`; exact, also where its UTC time is outside the calendar."""
    return (time - EPOCH) // _MICROSECOND


def time_of(moment: int) -> datetime:
    """The UTC time of a moment inside the calendar."""
    return EPOCH + timedelta(microseconds=moment)


class Moments(dict[str, int]):
    """The moments of ISO 8601 texts, each read once: the readings of a message mostly share a few times."""

    def __missing__(self, text: str) -> int:
        time = read_time(text)
        self[text] = found = NO_MOMENT if time is None else moment(time)
        return found
