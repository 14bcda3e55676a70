"""What ingest is told by its environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import BrokerUrl, ServiceSettings


class IngestSettings(ServiceSettings):
    """`MBUS_INGEST_…` variables."""

    model_config = SettingsConfigDict(env_prefix="MBUS_INGEST_")

    broker_url: BrokerUrl
    port: int = 8002
    prefetch: Annotated[int, Field(ge=1, le=2000)] = 400
    """Messages in hand at once, while they are small; quorum queues allow 2,000."""
    in_hand_bytes: Annotated[int, Field(ge=1)] = 16 * 1024 * 1024
    """What the messages in hand may weigh together; large ones are taken a few at a time."""
    writers: Annotated[int, Field(ge=1, le=8)] = 2
    batch_bytes: Annotated[int, Field(ge=1)] = 2 * 1024 * 1024
    """A batch is closed before its messages exceed this; some 15,000 readings."""
    trust_broker_stamps: bool = False
    """Whether the broker stamps every message with when it accepted it (deploy/rabbitmq). Where it does not, a sender
    could, and is not believed."""
    replay_interval_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 5.0
    """How often it looks whether what quarantined readings wait for has been registered; less often where that takes
    long."""
    grace_period_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 15.0
    """How long a stop waits for what is in hand; the rest is delivered again."""
