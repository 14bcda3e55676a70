"""Events, and mails, for tests of mail."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.alerts.mail.composing import Mail
from services.alerts.mail.rendering import Reader
from shared.messages.alert_events import (
    AlertEventType,
    GatewayAlert,
    GatewayAlertEvent,
    InstallationAlert,
    InstallationAlertEvent,
    LastReading,
)
from shared.messages.cloudevents import CloudEvent
from shared.models import Language

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""In Copenhagen it is one o'clock."""
BEFORE = NOON - timedelta(days=3)

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
URL = "https://alerts.example.com/unsubscribe/v1.token"
DANE = Reader(Language.DANISH, COPENHAGEN, URL)
BRITON = Reader(Language.ENGLISH, COPENHAGEN, URL)

MAIL = Mail(Language.DANISH, "Måler 71440145 er tavs i Havnegade 4", "Tavs\n", "<p>Tavs</p>\n")


def installation(
    number: int = 71440145,
    *,
    kind: AlertEventType = AlertEventType.INSTALLATION_STALE,
    property_number: int = 4,
    property_name: str | None = None,
    unit_label: str = "Kælder",
    medium: str = "cold_water",
    since: datetime = BEFORE,
    last: LastReading | None = None,
    gateway_id: str | None = None,
) -> InstallationAlertEvent:
    """An event of the meter of that number, silent since `since`; a recovery's reading is of `NOON`."""
    told = InstallationAlert(
        alert_id=UUID(int=number),
        tenant_id=UUID(int=2),
        installation_id=UUID(int=number),
        meter_serial=f"{number:08}",
        medium=medium,
        unit_of_measure="m3",
        property_id=UUID(int=property_number),
        property_name=f"Havnegade {property_number}" if property_name is None else property_name,
        address=f"Havnegade {property_number}, 8000 Aarhus C",
        unit_label=unit_label,
        gateway_id=gateway_id,
        since=NOON if kind is AlertEventType.INSTALLATION_RECOVERED else since,
        silent_since=since,
        last_reading=last,
    )
    return CloudEvent(id=f"{kind}-{number}", source="/mbus/alerts", type=kind.value, time=NOON, data=told)


def reading(value: float = 1234.567, *, battery: int | None = None, at: datetime = BEFORE) -> LastReading:
    return LastReading(timestamp=at, value=value, rssi_dbm=None, battery_level_pct=battery)


def gateway(
    number: int = 1,
    *,
    kind: AlertEventType = AlertEventType.GATEWAY_SILENT,
    name: str = "In the cellar",
    installations: int = 24,
    properties: int = 1,
    addresses: int = 1,
    last_heard_at: datetime | None = BEFORE,
) -> GatewayAlertEvent:
    """An event of the gateway of that number, silent since `BEFORE`; a recovery's message is of `NOON`."""
    told = GatewayAlert(
        alert_id=UUID(int=number),
        tenant_id=UUID(int=2),
        gateway_id=f"GW-{number:04}",
        gateway_name=name,
        installations=installations,
        properties=properties,
        addresses=[f"Havnegade {one}, 8000 Aarhus C" for one in range(1, addresses + 1)],
        since=NOON if kind is AlertEventType.GATEWAY_RECOVERED else BEFORE,
        silent_since=BEFORE,
        last_heard_at=last_heard_at,
    )
    return CloudEvent(id=f"{kind}-{number}", source="/mbus/alerts", type=kind.value, time=NOON, data=told)
