"""The time by the database's clock, without asking for it: what the database said once, and what has passed since."""

import time
from datetime import datetime, timedelta

from shared.clock import Clock, Monotonic, ahead
from shared.logs import get_logger

PUT_RIGHT_FROM = timedelta(seconds=10)
"""By less it is not moved: what was received later than something else must have a later time."""

log = get_logger(__name__)


class DatabaseTime:
    """A time that all processes agree on, whatever the clocks of their machines say, and whoever sets them.

    It begins with what the machine's `own` clock says.
    """

    def __init__(self, own: Clock, monotonic: Monotonic = time.monotonic) -> None:
        self._own = own
        self._monotonic = monotonic
        self._zero = own() - self._passed()

    def now(self) -> datetime:
        """The time, as far as it is known."""
        return self._zero + self._passed()

    def latest(self) -> datetime:
        """This or the machine's own, whichever is later: what lies ahead of it does so by both clocks."""
        return max(self.now(), self._own())

    def learn(self, asked_at: datetime, said: datetime) -> None:
        """Compare it with what the database has just `said`, which was asked for at `asked_at` by this time."""
        by = ahead(said, asked_at, self.now())
        if abs(by) > PUT_RIGHT_FROM:
            log.warning("time_put_right_by_the_database", by_s=round(by.total_seconds()))
            self._zero = said - self._passed()

    def _passed(self) -> timedelta:
        return timedelta(seconds=self._monotonic())
