"""What of a subscription's waiting deliveries goes out now, and together; what waits on, and what is never told. Pure.

- What waits goes out as soon as the first of its group has waited for as long as a digest does: with all of the group
  that has come by then. A group is a property's, or a gateway's; for mail, everything.
- Events of an alert keep their order: while an earlier one is on its way, later ones wait.
- A silence within a maintenance window waits for its end. Where it is over by then, neither it nor its end is told:
  the window said that it was to be expected.
- A reminder is not told of what is over, was acknowledged, is snoozed, or lies within a window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.alerts.rules.maintenance import Subject
from shared.messages.subscriber_events import RECOVERIES, REMINDERS, SILENCES
from shared.models import DroppedBecause

Group = tuple[str, str]
"""What goes together: the kind of thing that it is about, and which one."""


Held = tuple[datetime, UUID]
"""Until when a maintenance window lasts, and which one it is."""

NOWHERE = Subject(installation_id=None, property_id=None, gateway_id=None)


@dataclass(frozen=True)
class Waiting:
    """A delivery that is on its way to nobody yet."""

    id: UUID
    position: int
    event_type: str
    since: datetime
    """From when on it waits for others of its group."""
    group: Group
    subject: Subject = NOWHERE
    alert_id: UUID | None = None
    was_held: bool = False
    """It has waited for the end of a window."""
    alert_is_open: bool = False
    alert_is_marked: bool = False
    """It is acknowledged, or snoozed now."""
    earlier_until: datetime | None = None
    """An earlier one of the same alert is on its way, and tried again then."""


@dataclass
class Plan:
    """What becomes of each of them; what is in none of these waits as it does."""

    digests: list[list[Waiting]] = field(default_factory=list)
    postponed: list[tuple[Waiting, datetime, UUID | None]] = field(default_factory=list)
    """Until when, and by which window."""
    dropped: list[tuple[Waiting, DroppedBecause]] = field(default_factory=list)


def plan(
    waiting: Sequence[Waiting],
    *,
    now: datetime,
    wait: timedelta,
    at_most: int,
    held: Callable[[Subject], Held | None],
) -> Plan:
    """What is done now with all that waits at one subscription, given in the order in which it was made.

    `at_most` are told in one digest; `held` says which maintenance window holds for a subject at `now`.
    """
    made = Plan()
    ready: list[Waiting] = []
    silenced: dict[UUID, Waiting] = {}
    """By its alert, the silence that waits for the end of a window, or has."""
    for one in waiting:
        if one.earlier_until is not None:
            made.postponed.append((one, one.earlier_until, None))
            continue
        window = held(one.subject) if one.event_type in SILENCES else None
        if one.event_type in REMINDERS and (window is not None or one.alert_is_marked or not one.alert_is_open):
            because = DroppedBecause.OVER if window is None else DroppedBecause.MAINTENANCE
            made.dropped.append((one, because))
        elif one.event_type in RECOVERIES and one.alert_id in silenced:
            silence = silenced.pop(one.alert_id)
            made.dropped += [(silence, DroppedBecause.MAINTENANCE), (one, DroppedBecause.MAINTENANCE)]
        elif one.alert_id is not None and (window is not None or (one.was_held and one.event_type in SILENCES)):
            silenced[one.alert_id] = one
        else:
            ready.append(one)
    for one in silenced.values():
        window = held(one.subject)
        if not one.alert_is_open:
            made.dropped.append((one, DroppedBecause.MAINTENANCE))
        elif window is not None:
            until, window_id = window
            if not one.was_held or one.since != until:
                made.postponed.append((one, until, window_id))
        else:
            ready.append(one)
    ready.sort(key=lambda one: one.position)
    made.digests = _digests(ready, now=now, wait=wait, at_most=at_most)
    return made


def _digests(ready: Sequence[Waiting], *, now: datetime, wait: timedelta, at_most: int) -> list[list[Waiting]]:
    groups: dict[Group, list[Waiting]] = {}
    group_of_alert: dict[UUID, Group] = {}
    for one in ready:
        group = one.group
        if one.alert_id is not None:
            # A meter may have moved to another property between the two: they go together all the same.
            group = group_of_alert.setdefault(one.alert_id, group)
        groups.setdefault(group, []).append(one)
    # What does not fit waits for the next look, at once, when what goes out now is known to be on its way.
    return [group[:at_most] for group in groups.values() if min(one.since for one in group) + wait <= now]
