"""The tables, one tight family a module."""

from shared.models.alert_stream import AlertStream
from shared.models.alerting import Alert, AlertType, ClosedBecause, Delivery, DroppedBecause, OpenedBecause
from shared.models.base import Base
from shared.models.change_batch import NUMBERS_A_COMMIT, READING_BATCH, ChangeBatch
from shared.models.gateway import Gateway
from shared.models.gateway_status import GatewayHeard, GatewayState, GatewayStatus
from shared.models.installation_status import InstallationState, InstallationStatus
from shared.models.language import Language
from shared.models.maintenance_window import MaintenanceWindow
from shared.models.meter_installation import Medium, MeterInstallation, UnitOfMeasure
from shared.models.pipeline import IngestSession, Pipeline
from shared.models.policy import Policy
from shared.models.property import Property, PropertyConfig, Unit
from shared.models.reading import QuarantinedReading, Reading, ReadingCorrection
from shared.models.registry_version import RegistryVersion
from shared.models.subscription import DisabledBecause, Subscription, SubscriptionSecret
from shared.models.tenant import Tenant

__all__ = [
    "NUMBERS_A_COMMIT",
    "READING_BATCH",
    "Alert",
    "AlertStream",
    "AlertType",
    "Base",
    "ChangeBatch",
    "ClosedBecause",
    "Delivery",
    "DisabledBecause",
    "DroppedBecause",
    "Gateway",
    "GatewayHeard",
    "GatewayState",
    "GatewayStatus",
    "IngestSession",
    "InstallationState",
    "InstallationStatus",
    "Language",
    "MaintenanceWindow",
    "Medium",
    "MeterInstallation",
    "OpenedBecause",
    "Pipeline",
    "Policy",
    "Property",
    "PropertyConfig",
    "QuarantinedReading",
    "Reading",
    "ReadingCorrection",
    "RegistryVersion",
    "Subscription",
    "SubscriptionSecret",
    "Tenant",
    "Unit",
    "UnitOfMeasure",
]
