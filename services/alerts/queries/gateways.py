"""What the judgement of gateways needs to know of them, and how those of an installation stand."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import FromClause, Row, Select, any_, bindparam, func, or_, select, text, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text

from services.alerts.queries.compiled import NamedRecord
from services.alerts.queries.limits import POLICIES, limit_of, limited
from services.alerts.rules.gateways import GatewaySilence
from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Gateways
from shared.messages.alert_events import MOST_ADDRESSES
from shared.models import (
    Alert,
    Gateway,
    GatewayHeard,
    GatewayState,
    GatewayStatus,
    InstallationStatus,
    MeterInstallation,
    Tenant,
    Unit,
)

IDS = bindparam("ids", type_=ARRAY(Text()))
UNTIL = bindparam("until", type_=DateTime(timezone=True))


@dataclass(frozen=True)
class GatewaySubject:
    """A gateway as its alerts describe it, and as the rules judge it. `alert_id` is the open alert."""

    gateway_id: str
    tenant_id: UUID
    name: str
    state_since: datetime
    alert_id: UUID | None
    silence: GatewaySilence


@dataclass(frozen=True)
class Meters:
    """What a gateway should hear: how many meters, in how many properties, and where the first of these are."""

    installations: int = 0
    properties: int = 0
    addresses: tuple[str, ...] = ()


LOCK_DUE = (
    select(GatewayStatus.gateway_id)
    .where(GatewayStatus.state == GatewayState.HEARD.value, GatewayStatus.due_at <= bindparam("until"))
    .order_by(GatewayStatus.due_at)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
)

LOCK = (
    select(GatewayStatus.gateway_id)
    .where(GatewayStatus.gateway_id == any_(IDS), GatewayStatus.state == GatewayState.SILENT.value)
    .with_for_update(skip_locked=True)
)

# Of the silent ones, those that said something since they were judged, or whose rules changed.
PERHAPS_BACK = (
    select(GatewayStatus.gateway_id)
    .outerjoin(GatewayHeard, GatewayHeard.gateway_id == GatewayStatus.gateway_id)
    .where(
        GatewayStatus.state == GatewayState.SILENT.value,
        GatewayStatus.gateway_id > bindparam("after"),
        or_(GatewayStatus.due_at <= UNTIL, GatewayHeard.heard_at.is_distinct_from(GatewayStatus.heard_at)),
    )
    .order_by(GatewayStatus.gateway_id)
    .limit(bindparam("at_most"))
)

GATEWAYS: Select[*tuple[Any, ...]] = (
    select(
        GatewayStatus.gateway_id,
        GatewayStatus.tenant_id,
        GatewayStatus.registered_at,
        GatewayStatus.state,
        GatewayStatus.state_since,
        GatewayStatus.rules_changed_at,
        GatewayStatus.alert_id,
        Alert.since,
        GatewayHeard.heard_at,
        Gateway.name,
        Gateway.silent_after,
        Gateway.deleted_at,
    )
    .join(Gateway, Gateway.id == GatewayStatus.gateway_id)
    .outerjoin(GatewayHeard, GatewayHeard.gateway_id == GatewayStatus.gateway_id)
    .outerjoin(Alert, Alert.id == GatewayStatus.alert_id)
    .where(GatewayStatus.gateway_id == any_(IDS))
)

# Those that are to be heard by it, and those that it was the last to hear. By which gateway an installation was heard
# has no index: it would cost a seventh of the speed of folding. Only the statuses of a tenant are read for that, and
# only when a gateway of it is due. By a join with the ids: a kept plan compares each status with one after the other.
TENANTS = select(Gateway.tenant_id).where(Gateway.id == any_(IDS))
OF_GATEWAYS = union(
    select(MeterInstallation.gateway_id, MeterInstallation.id.label("installation_id")).where(
        MeterInstallation.gateway_id == any_(IDS)
    ),
    select(InstallationStatus.last_gateway_id, InstallationStatus.installation_id).where(
        InstallationStatus.last_gateway_id.in_(select(func.unnest(IDS))), InstallationStatus.tenant_id.in_(TENANTS)
    ),
).subquery("of_gateways")


def limits_of_gateways(policies: FromClause = POLICIES) -> Select[*tuple[Any, ...]]:
    """The distinct limits of the installations that the gateways `IDS` have at `UNTIL`, by `policies`."""
    return limited(
        select(OF_GATEWAYS.c.gateway_id)
        .distinct()
        .join(MeterInstallation, MeterInstallation.id == OF_GATEWAYS.c.installation_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Tenant, Tenant.id == MeterInstallation.tenant_id)
        .where(or_(MeterInstallation.deleted_at.is_(None), MeterInstallation.deleted_at > UNTIL)),
        policies,
    )


LIMITS = limits_of_gateways()

METERS = text(
    """
    SELECT of_gateways.gateway_id, count(*) AS installations, count(DISTINCT house.id) AS properties,
           (array_agg(DISTINCT house.address ORDER BY house.address))[1 : :most] AS addresses
    FROM (SELECT gateway_id, id FROM meter_installation WHERE gateway_id = ANY (:ids)
          UNION SELECT last_gateway_id, installation_id FROM installation_status
          WHERE last_gateway_id IN (SELECT unnest(:ids))
            AND tenant_id IN (SELECT tenant_id FROM gateway WHERE id = ANY (:ids))
         ) AS of_gateways
    JOIN meter_installation AS installation ON installation.id = of_gateways.id
    JOIN unit ON unit.id = installation.unit_id
    JOIN property AS house ON house.id = unit.property_id
    WHERE installation.deleted_at IS NULL OR installation.deleted_at > :until
    GROUP BY of_gateways.gateway_id
    """
).bindparams(IDS)

STATES = (
    select(GatewayStatus.gateway_id, GatewayStatus.state, (GatewayStatus.due_at <= bindparam("until")).label("is_due"))
    .join(Gateway, Gateway.id == GatewayStatus.gateway_id)
    .where(
        GatewayStatus.gateway_id == any_(IDS),
        or_(Gateway.deleted_at.is_(None), Gateway.deleted_at > bindparam("until")),
    )
)


async def lock_due(connection: AsyncConnection, until: datetime, *, at_most: int) -> list[GatewaySubject]:
    """The gateways that count as heard and are to be looked at by `until`, locked; not those of another replica."""
    due = (await connection.execute(LOCK_DUE, {"until": until, "at_most": at_most})).scalars().all()
    return await find(connection, due, until)


async def perhaps_back(
    connection: AsyncConnection, until: datetime, *, after: str, at_most: int
) -> list[GatewaySubject]:
    """Silent gateways that said something since they were judged, or whose rules changed; not locked.

    By their ids, from `after` on.
    """
    found = await connection.execute(PERHAPS_BACK, {"until": until, "after": after, "at_most": at_most})
    return await find(connection, found.scalars().all(), until)


async def lock_silent(connection: AsyncConnection, gateway_ids: Sequence[str], until: datetime) -> list[GatewaySubject]:
    """Those of the given ones that are silent still, locked; not those of another replica."""
    if not gateway_ids:
        return []
    locked = (await connection.execute(LOCK, {"ids": list(gateway_ids)})).scalars().all()
    return await find(connection, locked, until)


async def find(connection: AsyncConnection, gateway_ids: Sequence[str], until: datetime) -> list[GatewaySubject]:
    """The given gateways, with the limits of the installations that they have at `until`."""
    if not gateway_ids:
        return []
    ids = {"ids": list(gateway_ids)}
    limits: dict[str, set[Limit]] = defaultdict(set)
    for row in await connection.execute(LIMITS, {**ids, "until": until}):
        limits[row.gateway_id].add(limit_of(row))
    return [
        GatewaySubject(
            gateway_id=row.gateway_id,
            tenant_id=row.tenant_id,
            name=row.name,
            state_since=row.state_since,
            alert_id=row.alert_id,
            silence=silence_of(row, frozenset(limits[row.gateway_id])),
        )
        for row in await connection.execute(GATEWAYS, ids)
    ]


def silence_of(row: Row[Any] | NamedRecord, limits: frozenset[Limit]) -> GatewaySilence:
    """What the rules judge, of a row of `GATEWAYS`."""
    return GatewaySilence(
        state=GatewayState(row.state),
        # When it was heard last before its alert: news since then, however little newer, is what is news.
        state_since=row.since or row.state_since,
        registered_at=row.registered_at,
        heard_at=row.heard_at,
        deleted_at=row.deleted_at,
        silent_after=row.silent_after,
        limits=limits,
        rules_changed_at=row.rules_changed_at,
        alerted=row.alert_id is not None,
    )


async def meters_of(connection: AsyncConnection, gateway_ids: Sequence[str], until: datetime) -> dict[str, Meters]:
    """What the given gateways should hear; one that should hear none is left out."""
    if not gateway_ids:
        return {}
    found = await connection.execute(METERS, {"ids": list(gateway_ids), "until": until, "most": MOST_ADDRESSES})
    return {row.gateway_id: Meters(row.installations, row.properties, tuple(row.addresses)) for row in found}


async def states_of(connection: AsyncConnection, gateway_ids: Iterable[str], until: datetime) -> dict[str, Gateways]:
    """How the given gateways stand, as far as they are in use. One that is due at `until` is not judged yet."""
    ids = list(gateway_ids)
    if not ids:
        return {}
    found = await connection.execute(STATES, {"ids": ids, "until": until})
    return {row.gateway_id: _standing(GatewayState(row.state), is_due=bool(row.is_due)) for row in found}


def together(gateway_ids: Iterable[str], states: Mapping[str, Gateways]) -> Gateways:
    """How those of an installation stand: as the best of those in use; without any it is as if one were heard."""
    known = {states[one] for one in gateway_ids if one in states}
    if not known or Gateways.HEARD in known:
        return Gateways.HEARD
    return Gateways.UNKNOWN if Gateways.UNKNOWN in known else Gateways.SILENT


def _standing(state: GatewayState, *, is_due: bool) -> Gateways:
    if is_due:
        return Gateways.UNKNOWN
    return Gateways.HEARD if state is GatewayState.HEARD else Gateways.SILENT
