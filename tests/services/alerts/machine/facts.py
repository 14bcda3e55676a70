"""What is so in the world of the state machine: the registry, and what gateways said. Alerts and the model read it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import QuietTimes

START = datetime(2030, 3, 29, 12, tzinfo=UTC)
"""A Friday; on the Sunday after it Copenhagen changes its clock. It is later than any database's own clock."""

HOUR = timedelta(hours=1)
INSTALLED_AT = START - 2 * HOUR
"""They are registered at the start."""
LIMITS = (
    Limit(8 * HOUR),
    Limit(48 * HOUR),
    Limit(24 * HOUR, quiet=QuietTimes(frozenset({6, 7}), None, "Europe/Copenhagen")),
    Limit(6 * HOUR, quiet=QuietTimes(frozenset(), (time(19), time(7)), "Europe/Copenhagen"), grace=12 * HOUR),
)


@dataclass
class Meter:
    """An installation."""

    gateway: str | None
    limit: Limit
    installed_at: datetime = INSTALLED_AT
    deleted_at: datetime | None = None


@dataclass
class Box:
    """A gateway, and when the newest of its messages that is stored was accepted."""

    silent_after: timedelta | None = None
    deleted_at: datetime | None = None
    heard_at: datetime | None = None


@dataclass(frozen=True)
class Reading:
    """A reading of a meter, as it is stored and as its event tells of it."""

    meter: str
    timestamp: datetime
    gateway: str
    received_at: datetime

    @property
    def age(self) -> tuple[datetime, datetime]:
        """What orders the readings of a meter."""
        return self.timestamp, self.received_at

    def is_news_to(self, known: "Reading | None") -> bool:
        """Whether it says more of a meter than the `known` one: it is newer, or the same by a gateway not known yet."""
        return known is None or known.age < self.age or (known.age == self.age and known.gateway != self.gateway)


@dataclass(frozen=True)
class Report:
    """What is to be seen of a meter or gateway: its state, its alerts (why opened, why closed), the events of them."""

    state: str
    last_reading_at: datetime | None
    alerts: tuple[tuple[str, str | None], ...]
    events: tuple[str, ...]


@dataclass
class Facts:
    """The registry, and all readings that are stored."""

    meters: dict[str, Meter] = field(
        default_factory=lambda: {
            "M1": Meter("G1", LIMITS[1]),
            "M2": Meter("G1", LIMITS[1]),
            "M3": Meter("G2", LIMITS[2]),
            "M4": Meter(None, LIMITS[0]),
            # They stay where they are.
            "M5": Meter("G1", LIMITS[1]),
            "M6": Meter("G2", LIMITS[1]),
        }
    )
    boxes: dict[str, Box] = field(default_factory=lambda: {"G1": Box(), "G2": Box()})
    stored: dict[tuple[str, datetime], Reading] = field(default_factory=dict)

    def store(self, gateway: str, accepted_at: datetime, readings: Iterable[Reading]) -> None:
        """Take what ingest commits for a message; of two values of a reading the one received later stays."""
        box = self.boxes[gateway]
        box.heard_at = max(accepted_at, box.heard_at or accepted_at)
        for one in readings:
            known = self.stored.get((one.meter, one.timestamp))
            if known is None or known.received_at < one.received_at:
                self.stored[one.meter, one.timestamp] = one

    def newest_of(self, meter: str) -> Reading | None:
        """The newest stored reading of a meter."""
        return max((one for one in self.stored.values() if one.meter == meter), key=lambda one: one.age, default=None)
