"""What a change of policies, which is laid over those that there are, concerns: installations, and their gateways.

So the statements of the sweeps say which policy would hold for whom. Each has the first of the two locks on what the
caller may see.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, FromClause, Select, any_, cast, literal, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from services.alerts.queries.gateways import GATEWAYS, IDS, UNTIL, limits_of_gateways
from services.alerts.queries.limits import POLICIES, limited, most_specific
from services.alerts.queries.policy_fields import Policy, PolicyBody
from shared.http.reach import Reach
from shared.models import Gateway, GatewayHeard, InstallationStatus, MeterInstallation, Property, Tenant, Unit

Statement = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class PolicyChange:
    """`wanted` as a new policy, or in place of `replaced`; `replaced` removed where `wanted` is None.

    A policy that the target of `wanted` has already gives way to it.
    """

    reach: Reach
    replaced: Policy | None
    wanted: PolicyBody | None
    new_id: UUID = field(default_factory=uuid4)
    """Of `wanted`, as long as it is looked at."""


def concerned(change: PolicyChange, until: datetime) -> Statement:
    """The installations for which a policy of the change holds now, or would; with what `limit_of` reads of then."""
    targets = [target for target in (change.replaced, change.wanted) if target is not None]
    judged = (
        select(
            InstallationStatus.installation_id,
            InstallationStatus.state,
            InstallationStatus.state_since,
            InstallationStatus.last_reading_at,
            InstallationStatus.registered_at,
            InstallationStatus.judged_from,
            InstallationStatus.alert_id,
            InstallationStatus.last_gateway_id,
            MeterInstallation.gateway_id.label("expected_gateway_id"),
            MeterInstallation.installed_at,
            MeterInstallation.deleted_at,
        )
        .join(MeterInstallation, MeterInstallation.id == InstallationStatus.installation_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Tenant, Tenant.id == MeterInstallation.tenant_id)
        .where(
            *within(change.reach),
            or_(MeterInstallation.deleted_at.is_(None), MeterInstallation.deleted_at > until),
            or_(*map(_is_of, targets)),
        )
    )
    if change.replaced is None:
        then = limited(judged, _policies(change)).subquery("then")
        return select(then).where(then.c.policy_id == change.new_id)
    judged = judged.add_columns(most_specific(POLICIES).label("holds_now"))
    then = limited(judged, _policies(change)).subquery("then")
    return select(then).where(or_(then.c.policy_id == change.new_id, then.c.holds_now == change.replaced.id))


def limits_then(change: PolicyChange, gateway_ids: Sequence[str], until: datetime) -> Statement:
    """The limits that the installations of the gateways would have, for `limit_of`."""
    statement = limits_of_gateways(_policies(change)).where(*within(change.reach))
    return statement.params({IDS.key: gateway_ids, UNTIL.key: until})


def gateways_in_use(change: PolicyChange, gateway_ids: Sequence[str], until: datetime) -> Statement:
    """The gateways as `silence_of` reads them; not those that are disabled."""
    in_use = or_(Gateway.deleted_at.is_(None), Gateway.deleted_at > UNTIL)
    return GATEWAYS.where(*gateways_within(change.reach), in_use).params({IDS.key: gateway_ids, UNTIL.key: until})


def shown_gateways(reach: Reach, gateway_ids: Iterable[str]) -> Statement:
    """What is shown of the gateways."""
    return (
        select(Gateway.id, Gateway.name, GatewayHeard.heard_at)
        .outerjoin(GatewayHeard, GatewayHeard.gateway_id == Gateway.id)
        .where(*gateways_within(reach), Gateway.id.in_(gateway_ids))
    )


def shown_installations(reach: Reach, installation_ids: Iterable[UUID]) -> Statement:
    """What is shown of the installations."""
    return (
        select(
            MeterInstallation.id,
            MeterInstallation.meter_serial,
            MeterInstallation.medium,
            Property.id,
            Property.name,
            Property.address,
            Unit.label,
            InstallationStatus.last_reading_at,
        )
        .join(InstallationStatus, InstallationStatus.installation_id == MeterInstallation.id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .join(Property, Property.id == Unit.property_id)
        .where(*within(reach), MeterInstallation.id.in_(installation_ids))
    )


def within(reach: Reach) -> tuple[ColumnElement[bool], ...]:
    """Of a statement that has `MeterInstallation` and `Unit`."""
    of_tenant = MeterInstallation.tenant_id == reach.tenant_id
    if reach.property_ids is None:
        return (of_tenant,)
    return of_tenant, Unit.property_id == any_(literal(sorted(reach.property_ids), ARRAY(Uuid())))


def gateways_within(reach: Reach) -> tuple[ColumnElement[bool], ...]:
    """Those of the tenant; where the caller sees only some properties, those that are to hear a meter there."""
    if reach.property_ids is None:
        return (Gateway.tenant_id == reach.tenant_id,)
    there = (
        select(MeterInstallation.gateway_id)
        .join(Unit, Unit.id == MeterInstallation.unit_id)
        .where(*within(reach), MeterInstallation.gateway_id.is_not(None))
    )
    return Gateway.tenant_id == reach.tenant_id, Gateway.id.in_(there)


def _is_of(target: Policy | PolicyBody) -> ColumnElement[bool]:
    """Whether the target is, or has, or is measured by an installation."""
    if target.installation_id is not None:
        return MeterInstallation.id == target.installation_id
    if target.property_id is not None:
        return Unit.property_id == target.property_id
    return true() if target.medium is None else MeterInstallation.medium == target.medium


def _policies(change: PolicyChange) -> FromClause:
    """The policies as they would be."""
    columns, wanted = POLICIES.c, change.wanted
    others = select(POLICIES).where(columns.tenant_id == change.reach.tenant_id)
    if change.replaced is not None:
        others = others.where(columns.id != change.replaced.id)
    if wanted is None:
        return others.subquery("policies")
    target = {name: getattr(wanted, name) for name in ("installation_id", "property_id", "medium")}
    has_another = or_(*(columns[name].is_distinct_from(value) for name, value in target.items()))
    values: dict[str, object] = {
        **{column.name: getattr(wanted, column.name, None) for column in columns},
        "id": change.new_id,
        "tenant_id": change.reach.tenant_id,
    }
    new = select(*(cast(literal(values[it.name], it.type), it.type).label(it.name) for it in columns))
    return union_all(others.where(has_another), new).subquery("policies")
