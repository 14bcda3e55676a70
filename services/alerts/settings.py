"""What alerts is told by its environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import BrokerUrl, ServiceSettings


class AlertsSettings(ServiceSettings):
    """`MBUS_ALERTS_…` variables."""

    model_config = SettingsConfigDict(env_prefix="MBUS_ALERTS_")

    broker_url: BrokerUrl
    port: int = 8001
    prefetch: Annotated[int, Field(ge=1, le=2000)] = 50
    """Events in hand at once; each is a commit of ingest."""
    settle_s: Annotated[float, Field(ge=0)] = 300.0
    """How long all must be folded after an absence of alerts or the broker before a silence is judged."""
    grace_period_s: Annotated[float, Field(gt=0)] = 15.0
    """How long a stop waits for what is in hand; the rest is delivered again."""
