"""Maintenance windows: whether one is open, until when, and whose silence it keeps from being told. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from services.alerts.rules.offsets import offsets
from shared.time_zones import is_time_zone

DAY = timedelta(days=1)
WEEK = frozenset(range(1, 8))
LOOK_AHEAD = timedelta(days=32)
"""Further than this the end of a window is not looked for: one that recurs without a pause may have none."""


@dataclass(frozen=True)
class Once:
    """From a moment until before another. `ValueError` where the second is not later."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        if self.starts_at >= self.ends_at:
            raise ValueError("a window ends after it starts")

    @property
    def has_no_pauses(self) -> bool:
        """Whether it lasts at every moment between two at which it does."""
        return True

    def stretch_until(self, now: datetime) -> datetime | None:
        """Its end, in UTC, if `now` is within it."""
        return self.ends_at.astimezone(UTC) if self.starts_at <= now < self.ends_at else None


@dataclass(frozen=True)
class Recurring:
    """On weekdays (1 is Monday), for hours of the day or all day, by the clock on the wall in `time_zone`.

    The hours go from the first time until before the second; where that is the earlier one, until the next day. Of
    dates, both included, and of weekdays it is the beginning that counts: a night belongs to the day it begins on.
    `ValueError` for times that cannot be, and an unknown zone.
    """

    weekdays: frozenset[int]
    hours: tuple[time, time] | None
    time_zone: str
    valid_from: date | None = None
    valid_until: date | None = None

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= WEEK:
            raise ValueError("weekdays are 1 (Monday) to 7 (Sunday), and one at least")
        if self.hours is not None and self.hours[0] == self.hours[1]:
            raise ValueError("a window begins and ends at different times")
        if self.valid_from is not None and self.valid_until is not None and self.valid_from > self.valid_until:
            raise ValueError("the last date is not before the first")
        if not is_time_zone(self.time_zone):
            raise ValueError(f"no time zone is called {self.time_zone!r}")

    @property
    def has_no_pauses(self) -> bool:
        """Whether it lasts at every moment between two at which it does: whole days, and each of the week."""
        return self.hours is None and self.weekdays == WEEK

    def stretch_until(self, now: datetime) -> datetime | None:
        """Up to when, in UTC, it surely lasts without a pause, if `now` is within it.

        That is the end of the occurrence, or of what the clock passes of it before it is put forward or back.
        """
        moment = now.astimezone(UTC).replace(tzinfo=None)
        until, offset = next(found for found in offsets(self.time_zone, moment.year) if moment < found[0])
        wall = moment + offset
        # None is longer than a day, and so never do two overlap.
        end = self._end(wall.date(), wall) or self._end(wall.date() - DAY, wall)
        return None if end is None else min(end - offset, until).replace(tzinfo=UTC)

    def _end(self, day: date, wall: datetime) -> datetime | None:
        """When the occurrence that begins on `day` ends, on the wall, if there is one and it holds at `wall`."""
        if day.isoweekday() not in self.weekdays:
            return None
        if day < (self.valid_from or day) or day > (self.valid_until or day):
            return None
        midnight = datetime.combine(day, time())
        begin, end = midnight, midnight + DAY
        if self.hours is not None:
            begin, end = (datetime.combine(day, one) for one in self.hours)
            end = end if begin < end else end + DAY
        return end if begin <= wall < end else None


@dataclass(frozen=True)
class Subject:
    """What an event is about: an installation with its property and its gateway, or a gateway.

    A gateway has a property where all of its installations are in that one.
    """

    installation_id: UUID | None
    property_id: UUID | None
    gateway_id: str | None


@dataclass(frozen=True)
class Window:
    """When, and of what: an installation, a property, a gateway, or of all that the tenant has where it names none."""

    id: UUID
    times: Once | Recurring
    installation_id: UUID | None = None
    property_id: UUID | None = None
    gateway_id: str | None = None

    def active_until(self, now: datetime) -> datetime | None:
        """When it ends, in UTC, if `now` is within it. Occurrences without a pause between them are one.

        Of one that recurs so for longer than `LOOK_AHEAD`, a moment after that by which it lasts still, and by which it
        is to be asked again.
        """
        end = until = self.times.stretch_until(now)
        if until is not None and self.times.has_no_pauses:
            # Not day by day: where it lasts then, it lasts until then.
            later = self.times.stretch_until(now + LOOK_AHEAD)
            if later is not None:
                return later
        while until is not None:
            end = until
            until = self.times.stretch_until(end) if end - now <= LOOK_AHEAD else None
        return end

    def is_of(self, subject: Subject) -> bool:
        """Whether it is of that: a gateway's is of the installations that are behind the gateway, too."""
        if self.installation_id is not None:
            return self.installation_id == subject.installation_id
        if self.property_id is not None:
            return self.property_id == subject.property_id
        return self.gateway_id is None or self.gateway_id == subject.gateway_id


@dataclass(frozen=True)
class OpenWindows:
    """The windows that are open at a moment, by what they are of: of each the one that `held_until` would choose.

    `open_now` makes it.
    """

    of_all: tuple[datetime, UUID] | None = None
    of_installations: dict[UUID, tuple[datetime, UUID]] = field(default_factory=dict)
    of_properties: dict[UUID, tuple[datetime, UUID]] = field(default_factory=dict)
    of_gateways: dict[str, tuple[datetime, UUID]] = field(default_factory=dict)

    def held_until(self, subject: Subject) -> tuple[datetime, UUID] | None:
        """Until when nobody is told of the silence of `subject`, and by which window; None where none is open.

        Of several the one that ends last, and of those that end together the one with the greatest id. It takes as
        long with a thousand windows as with one.
        """
        found = (
            self.of_all,
            None if subject.installation_id is None else self.of_installations.get(subject.installation_id),
            None if subject.property_id is None else self.of_properties.get(subject.property_id),
            None if subject.gateway_id is None else self.of_gateways.get(subject.gateway_id),
        )
        return max((one for one in found if one is not None), default=None)


def open_now(windows: Iterable[Window], now: datetime) -> OpenWindows:
    """Those of `windows` that are open at `now`; each is looked at once."""
    of_all: tuple[datetime, UUID] | None = None
    of_installations: dict[UUID, tuple[datetime, UUID]] = {}
    of_properties: dict[UUID, tuple[datetime, UUID]] = {}
    of_gateways: dict[str, tuple[datetime, UUID]] = {}
    for window in windows:
        until = window.active_until(now)
        if until is None:
            continue
        this = until, window.id
        if window.installation_id is not None:
            key = window.installation_id
            of_installations[key] = max(of_installations.get(key, this), this)
        elif window.property_id is not None:
            of_properties[window.property_id] = max(of_properties.get(window.property_id, this), this)
        elif window.gateway_id is not None:
            of_gateways[window.gateway_id] = max(of_gateways.get(window.gateway_id, this), this)
        else:
            of_all = this if of_all is None else max(of_all, this)
    return OpenWindows(of_all, of_installations, of_properties, of_gateways)
