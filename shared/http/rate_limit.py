"""How much one tenant, or one link, may ask in a time: a token bucket for each, of which only a time is kept."""

import time
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.clock import Monotonic

RatePerS = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]

SWEPT_FROM = 1024


class RateLimit:
    """At most `per_s` requests a second for each id, such as a tenant's, after `burst` at once; 0 means no limit.

    A bucket is kept as the time at which it will be full again, and a full one not at all. So no more are kept than
    there were ids in the last `burst / per_s` seconds. It counts for one process.
    """

    def __init__(self, *, per_s: float, burst: int, monotonic: Monotonic = time.monotonic) -> None:
        self._interval_s = 1 / per_s if per_s else 0.0
        self._depth_s = burst * self._interval_s
        self._monotonic = monotonic
        self._full_at: dict[UUID, float] = {}
        self._sweep_at_size = SWEPT_FROM

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)

    def take(self, whose: UUID) -> float:
        """0 when a request of that id may go on; else the seconds until one may, and nothing is taken."""
        if not self._interval_s:
            return 0.0
        now = self._monotonic()
        full_at = max(self._full_at.get(whose, now), now) + self._interval_s
        wait_s = full_at - now - self._depth_s
        if wait_s > self._interval_s * 1e-6:  # what adding up floats leaves over is no reason to refuse
            return wait_s
        self._full_at[whose] = full_at
        if len(self._full_at) > self._sweep_at_size:
            self._sweep(now)
        return 0.0

    def _sweep(self, now: float) -> None:
        self._full_at = {whose: full_at for whose, full_at in self._full_at.items() if full_at > now}
        self._sweep_at_size = max(SWEPT_FROM, 2 * len(self._full_at))
