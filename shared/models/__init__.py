"""The tables, one tight family a module."""

from shared.models.alerting import Alert, Delivery, InstallationState, InstallationStatus
from shared.models.base import Base
from shared.models.gateway import Gateway
from shared.models.meter_installation import Medium, MeterInstallation, UnitOfMeasure
from shared.models.property import Property, PropertyConfig, Unit
from shared.models.reading import QuarantinedReading, Reading, ReadingCorrection
from shared.models.registry_version import RegistryVersion
from shared.models.tenant import Tenant

__all__ = [
    "Alert",
    "Base",
    "Delivery",
    "Gateway",
    "InstallationState",
    "InstallationStatus",
    "Medium",
    "MeterInstallation",
    "Property",
    "PropertyConfig",
    "QuarantinedReading",
    "Reading",
    "ReadingCorrection",
    "RegistryVersion",
    "Tenant",
    "Unit",
    "UnitOfMeasure",
]
