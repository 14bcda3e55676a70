"""How long an installation may be silent: what a policy, or its tenant, says of it. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from services.alerts.rules.quiet import QuietTimes


@dataclass(frozen=True)
class Limit:
    """The rule that holds for an installation: the most specific of its policies, whole, else its tenant's limit.

    `stale_after` is counted outside the quiet times. For `grace`, which passes in quiet times too, a new installation
    is never due.
    """

    stale_after: timedelta
    quiet: QuietTimes | None = None
    grace: timedelta = timedelta(0)
