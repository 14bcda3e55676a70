"""How fast what waits for a webhook goes out to an endpoint on this machine, and whether memory stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.alerts.processes import running_alerts
from benchmarks.alerts.webhook_receiver import receiving
from benchmarks.errors import BenchError
from benchmarks.estate import build_estate
from benchmarks.place import Place
from benchmarks.program import Program
from services.alerts.webhooks.signing import new_secret
from shared.clock import utc_now
from shared.database import open_engine

Tell = Callable[[str], None]

RSS = "process_resident_memory_bytes"
TENTHS = 10

# Alerts of one meter that are over, each told by an event of a property of its own, so that none goes with another.
MADE = (
    """
    INSERT INTO alert (id, tenant_id, type, installation_id, since, opened_at, opened_because, closed_at,
                       closed_because)
    SELECT gen_random_uuid(), i.tenant_id, 'installation.stale', i.id, now(), now(), 'silence', now(), 'heard'
    FROM (SELECT * FROM meter_installation ORDER BY id LIMIT 1) i, generate_series(1, :count)
    """,
    """
    INSERT INTO delivery (id, alert_id, tenant_id, subscription_id, event_type, event, wanted_since, next_attempt_at)
    SELECT gen_random_uuid(), a.id, a.tenant_id, s.id, a.type,
           jsonb_build_object('specversion', '1.0', 'id', gen_random_uuid(), 'source', '/mbus/alerts', 'type', a.type,
               'time', now(), 'datacontenttype', 'application/json', 'data', jsonb_build_object(
                   'alert_id', a.id, 'tenant_id', a.tenant_id, 'installation_id', a.installation_id,
                   'meter_serial', '71440145', 'medium', 'heat', 'unit_of_measure', 'kWh',
                   'property_id', gen_random_uuid(), 'property_name', 'Havnegade 12',
                   'address', 'Havnegade 12, 8000 Aarhus C', 'unit_label', '1. tv', 'gateway_id', 'GW-1',
                   'since', a.since, 'silent_since', a.since, 'last_reading', null)),
           now(), now()
    FROM alert a, subscription s
    """,
)


@dataclass(frozen=True, kw_only=True)
class WebhookResult:
    """By one replica, to one endpoint. `webhook_rss_mib` is its memory after each tenth of the deliveries."""

    webhooks: int
    deliveries_per_s: float
    webhook_rss_mib: list[float]
    webhook_rss_growth: float
    """From the second tenth to the last: by then everything has been used once."""


async def measure_webhooks(place: Place, count: int, *, tell: Tell) -> WebhookResult:
    """Let the real alerts send `count` events, and see that the endpoint gets each once."""
    secret = new_secret()
    rss: list[float] = []
    async with receiving(secret) as (url, arrivals):
        async with open_engine(place.owner_url, application_name="mbus-bench") as engine:
            await _make_waiting(engine, url, secret, count)
        variables = {"MBUS_ALERTS_WEBHOOKS_ALLOWED": "127.0.0.1", "MBUS_ALERTS_DIGEST_WAIT_S": "0"}
        async with running_alerts(place, variables) as alerts:
            for tenth in range(1, TENTHS + 1):
                await arrivals.wait_for(count * tenth // TENTHS)
                rss.append(await _rss_mib(alerts))
    if arrivals.attempts != count:
        raise BenchError(f"{count} webhooks waited, and {arrivals.attempts} came")
    per_s = (count - 1) / (arrivals.last_at - arrivals.first_at)
    tell(f"{count:,} webhooks to one endpoint, {per_s:,.0f} a second, {rss[1]:.0f} to {rss[-1]:.0f} MiB")
    return WebhookResult(
        webhooks=count,
        deliveries_per_s=round(per_s, 1),
        webhook_rss_mib=rss,
        webhook_rss_growth=round(rss[-1] / rss[1], 3),
    )


async def _make_waiting(engine: AsyncEngine, url: str, secret: str, count: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await build_estate(connection, tenants=1, properties=1, installed_at=utc_now())
        made = text("INSERT INTO subscription (tenant_id, name, url) SELECT id, 'bench', :url FROM tenant RETURNING id")
        subscription_id = await connection.scalar(made, {"url": url})
        await connection.execute(
            text("INSERT INTO subscription_secret (subscription_id, secret) VALUES (:id, :secret)"),
            {"id": subscription_id, "secret": secret},
        )
        for statement in MADE:
            await connection.execute(text(statement), {"count": count} if ":count" in statement else {})


async def _rss_mib(program: Program) -> float:
    return round((await program.metrics())[RSS] / 2**20, 1)
