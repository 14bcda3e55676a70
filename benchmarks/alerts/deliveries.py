"""How fast the events that wait in `delivery` go out, each confirmed by the broker."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.alerts.arrivals import subscribed
from benchmarks.alerts.processes import running_alerts
from benchmarks.database import scalar
from benchmarks.errors import BenchError
from benchmarks.place import Place

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """By one replica, to one subscriber's queue."""

    deliveries: int
    deliveries_published_per_s: float


async def measure_deliveries(place: Place, *, tell: Tell) -> DeliveryResult:
    """Let the real alerts publish what waits, and see that a subscriber gets each once."""
    waiting = int(await scalar(place.owner_url, "SELECT count(*) FROM delivery WHERE delivered_at IS NULL"))
    async with subscribed(place.broker_url) as arrivals, running_alerts(place):
        await arrivals.wait_for(waiting)
    came = arrivals.stale
    if len({arrival.installation_id for arrival in came}) != waiting or len(came) != waiting:
        raise BenchError(f"{waiting} events waited, and a subscriber got {len(came)}, not one of each")
    per_s = (waiting - 1) / (came[-1].at - came[0].at)
    tell(f"{waiting:,} events published, {per_s:,.0f} a second")
    return DeliveryResult(deliveries=waiting, deliveries_published_per_s=round(per_s, 1))
