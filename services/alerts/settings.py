"""What alerts is told by its environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.alerts.mail.settings import MailSettings
from services.alerts.webhooks.settings import WebhookSettings
from shared.http.rate_limit import Burst, RatePerS
from shared.http.token_settings import TokenSettings
from shared.settings import BrokerUrl, Port, ServiceSettings


class AlertsSettings(WebhookSettings, MailSettings, ServiceSettings, TokenSettings):
    """`MBUS_ALERTS_…` variables, and the tokens' `MBUS_JWT_…`."""

    model_config = SettingsConfigDict(env_prefix="MBUS_ALERTS_")

    broker_url: BrokerUrl
    port: Port = 8001
    prefetch: Annotated[int, Field(ge=1, le=2000)] = 50
    """Events in hand at once; each is a commit of ingest."""
    settle_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 300.0
    """How long all must be well before a silence is judged, after a start, an absence of broker or database, a clock
    that was moved, or when ingest was behind."""
    grace_period_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 15.0
    """How long a stop waits for what is in hand; the rest is delivered again."""
    digest_wait_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 30.0
    """How long an event waits for others of its property or gateway, before subscriptions are told of all in one."""
    keep_deliveries_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long an event is kept after it was delivered or dropped; the alert that it told of is kept for ever."""
    callers_timeout_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 30.0
    """Of a statement that somebody waits for who called over HTTP; a policy of 100,000 meters takes some seconds."""
    streams: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Live streams that may be open in a process; each takes some 100 kB."""
    streams_per_tenant: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Of them those of one tenant."""
    rate_limit_per_s: RatePerS = 200.0
    rate_limit_burst: Burst = 400
