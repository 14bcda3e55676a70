"""What the servers are asked for."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from urllib.parse import urlencode

from benchmarks.query.client import Call
from benchmarks.query.data import LAST, Heard
from benchmarks.query.servers import OurServer
from shared.http.times import format_time

LIMIT = 100
CALLS_OF_SEVERAL = 50


def readings_calls(heard: Sequence[Heard], ours: OurServer) -> list[Call]:
    """The newest page of each, in no order that the table has; whoever does not look at tokens gets one too."""
    tokens = {tenant_id: ours.token(tenant_id) for tenant_id in {one.tenant_id for one in heard}}
    return [
        Call(f"/readings?installation_id={one.installation_id}&limit={LIMIT}", tokens[one.tenant_id])
        for one in Random(1).sample(heard, len(heard))  # noqa: S311 - no secret
    ]


def several_calls(heard: Sequence[Heard], ours: OurServer, *, each: int) -> list[Call]:
    """Newest pages over `each` installations together, which are of one tenant."""
    token, random = ours.token(heard[0].tenant_id), Random(1)  # noqa: S311 - no secret
    return [
        Call(
            f"/readings?limit={LIMIT}"
            + "".join(f"&installation_id={one.installation_id}" for one in random.sample(heard, each)),
            token,
        )
        for _ in range(CALLS_OF_SEVERAL)
    ]


def installations_call(of: Heard, ours: OurServer) -> Call:
    """The first page of the list of a tenant."""
    return Call(f"/installations?limit={LIMIT}", ours.token(of.tenant_id))


def days_calls(heard: Sequence[Heard], ours: OurServer, *, days: int) -> list[Call]:
    """The last days of each, day by day."""
    token = ours.token(heard[0].tenant_id)
    period = {
        "bucket": "day",
        "from": format_time(LAST - timedelta(days=days)),
        "to": format_time(LAST),
        "time_zone": "UTC",  # that of the readings, so that it is whole days
    }
    return [
        Call(f"/installations/{one.installation_id}/consumption?{urlencode(period)}", token)
        for one in Random(1).sample(heard, len(heard))  # noqa: S311 - no secret
    ]
