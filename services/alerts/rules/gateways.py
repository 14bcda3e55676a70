"""The rules of silence for gateways: when one falls silent, and when it is back. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import after
from services.alerts.rules.staleness import Consequence, opening
from shared.models import GatewayState

SILENT_AFTER = timedelta(hours=36)
"""Unless it says otherwise, or an installation of it has a short limit."""


@dataclass(frozen=True)
class GatewaySilence:
    """What the rules need to know of a gateway. `alerted` is whether an alert is open.

    `limits` are the distinct ones of its installations: those not deleted that it is to hear, or that it heard last.
    """

    state: GatewayState
    state_since: datetime
    registered_at: datetime
    heard_at: datetime | None
    deleted_at: datetime | None
    silent_after: timedelta | None
    limits: frozenset[Limit]
    rules_changed_at: datetime | None
    alerted: bool

    @property
    def silent_since(self) -> datetime:
        """When it was last heard, or registered."""
        return self.heard_at or self.registered_at

    @property
    def due_at(self) -> datetime:
        """From when on it is silent: by its own limit, else before the first of its installations falls due.

        Times that are quiet for its installations do not count; where these differ, it is the earliest moment.
        """
        if self.silent_after is not None:
            allowed = {(self.silent_after, limit.quiet) for limit in self.limits} or {(self.silent_after, None)}
        else:
            allowed = {(min(SILENT_AFTER, limit.stale_after * 3 / 4), limit.quiet) for limit in self.limits}
            allowed = allowed or {(SILENT_AFTER, None)}
        return min(after(self.silent_since, counted, quiet) for counted, quiet in allowed)


@dataclass(frozen=True)
class GatewayVerdict:
    """The state from now on, when to look again (None: only something new can make a difference), and the alert."""

    state: GatewayState
    due_at: datetime | None
    alert: Consequence = Consequence.NOTHING

    @property
    def is_heard(self) -> bool:
        """Whether nothing is held against it."""
        return self.state is GatewayState.HEARD


def on_the_clock(silence: GatewaySilence, until: datetime) -> GatewayVerdict:
    """What becomes of a gateway that was to be looked at, or of a silent one that was heard; all is known by `until`.

    A removed one is held to be heard: nothing is said against it, and if it comes back it begins anew.
    """
    alerted = silence.alerted
    if silence.deleted_at is not None and silence.deleted_at <= until:
        return GatewayVerdict(GatewayState.HEARD, None, Consequence.REMOVE if alerted else Consequence.NOTHING)
    due_at = silence.due_at
    if due_at <= until:
        alert = Consequence.NOTHING if alerted else opening(due_at, silence.rules_changed_at)
        return GatewayVerdict(GatewayState.SILENT, silence.deleted_at, alert)
    looked_at = due_at if silence.deleted_at is None else min(due_at, silence.deleted_at)
    if not alerted:
        return GatewayVerdict(GatewayState.HEARD, looked_at)
    # What it said before it fell silent was known then: it is within its limit by a change of rules.
    heard_again = silence.heard_at is not None and silence.heard_at > silence.state_since
    return GatewayVerdict(
        GatewayState.HEARD, looked_at, Consequence.CLOSE if heard_again else Consequence.CLOSE_QUIETLY
    )
