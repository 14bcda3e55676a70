"""What a commit tells the world: for each tenant, which installations were heard, and their newest reading."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from services.ingest.moments import time_of
from services.ingest.registry import Installation
from services.ingest.verdicts import Accepted
from shared.messages.readings_stored import SOURCE, TYPE, InstallationHeard, ReadingsStored, ReadingsStoredEvent

INSTALLATIONS_PER_EVENT = 2800
"""An installation takes at most 365 bytes with its gateway, so this stays below `MAX_EVENT_BYTES`."""


def readings_stored(accepted: Sequence[Accepted], now: datetime) -> list[ReadingsStoredEvent]:
    """The events of a commit, from all readings that were accepted in it, new or not.

    A batch that is written again after a crash so tells the same again; consumers are idempotent by content.
    """
    newest: dict[Installation, Accepted] = {}
    for reading in accepted:
        known = newest.get(reading.installation)
        if (
            known is None
            or reading.at > known.at
            or (reading.at == known.at and reading.delivery.received > known.delivery.received)
        ):
            newest[reading.installation] = reading
    counts = Counter(reading.installation for reading in accepted)
    by_tenant: dict[UUID, list[Accepted]] = {}
    for reading in newest.values():
        by_tenant.setdefault(reading.installation.tenant_id, []).append(reading)
    return [
        _event(tenant_id, readings[start : start + INSTALLATIONS_PER_EVENT], counts, now)
        for tenant_id, readings in by_tenant.items()
        for start in range(0, len(readings), INSTALLATIONS_PER_EVENT)
    ]


def _event(
    tenant_id: UUID, readings: Sequence[Accepted], counts: Mapping[Installation, int], now: datetime
) -> ReadingsStoredEvent:
    heard = [
        InstallationHeard(
            installation_id=reading.installation.id,
            gateway_id=reading.delivery.gateway_id,
            timestamp=time_of(reading.at),
            value=reading.value,
            rssi_dbm=reading.rssi_dbm,
            battery_level_pct=reading.battery_level_pct,
            received_at=reading.delivery.received_at if reading.delivery.may_correct else None,
            count=counts[reading.installation],
        )
        for reading in readings
    ]
    gateways = sorted({reading.delivery.gateway_id for reading in readings})
    return ReadingsStoredEvent(
        id=str(uuid4()),
        source=SOURCE,
        type=TYPE,
        time=now,
        data=ReadingsStored(tenant_id=tenant_id, gateways=gateways, installations=heard),
    )
