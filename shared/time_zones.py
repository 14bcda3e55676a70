"""Time zones by their IANA names."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

NO_ZONE = "must be a name of the IANA data base, such as Europe/Copenhagen"


def is_time_zone(name: str) -> bool:
    """Whether a zone is called so, in exactly these letters; a path or a folder of the machine is none."""
    return name in _names()


def zone_called(name: str) -> ZoneInfo:
    """The zone of that name. Raises `ValueError` where there is none."""
    if not is_time_zone(name):
        raise ValueError(NO_ZONE)
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    """Read once: there are 600 files to look at."""
    return frozenset(available_timezones())
