"""Durations as people write them: `30s`, `15min`, `1h`, `7d`."""

import re
from datetime import timedelta

UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
PATTERN = re.compile(r"\s*([0-9]{1,9})\s*([a-z]+)\s*")


def parse_duration(text: str) -> timedelta:
    """The duration that `text` says, longer than nothing; `ValueError` with a reason when it says none."""
    found = PATTERN.fullmatch(text.lower())
    if found is None or found[2] not in UNITS:
        raise ValueError("must be a number and a unit such as 30s, 15min, 1h or 7d")
    try:
        duration = int(found[1]) * UNITS[found[2]]
    except OverflowError:
        raise ValueError("is too long") from None
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration
