"""What `mbus up` is told by `MBUS_…` variables."""

from typing import Literal

from pydantic import Field

from cli.settings import CommandSettings
from shared.settings import BrokerUrl, DatabaseUrl, HttpUrl, MqttUrl, Port


class UpSettings(CommandSettings):
    """Servers of yours, the way to have others, and ports that must be these and no others."""

    up_database_url: DatabaseUrl | None = None
    up_broker_url: BrokerUrl | None = None
    broker_management_url: HttpUrl | None = None
    """Only with `up_broker_url`."""
    mqtt_url: MqttUrl | None = None
    """The same: where that broker is reached over MQTT, if it is."""
    up_mode: Literal["docker", "embedded"] | None = None
    query_port: Port | None = Field(default=None, gt=0)
    alerts_port: Port | None = Field(default=None, gt=0)
    ingest_port: Port | None = Field(default=None, gt=0)

    @property
    def has_own_servers(self) -> bool:
        """Whether one or both servers are named."""
        return self.up_database_url is not None or self.up_broker_url is not None

    @property
    def wanted_ports(self) -> dict[str, int]:
        """The ports that were asked for, by service."""
        ports = {"query": self.query_port, "alerts": self.alerts_port, "ingest": self.ingest_port}
        return {name: port for name, port in ports.items() if port is not None}
