"""Which quarantined readings are meant: by id, reason, gateway, tenant, time, and whether they still wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, select

from shared.models import Gateway, QuarantinedReading, Tenant


class State(StrEnum):
    """Whether a reading still waits, or was replayed and is kept for the record."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    ANY = "any"


@dataclass(frozen=True)
class Selection:
    """What all of these say; what is empty says nothing.

    Times are those of the latest transmission, from `since` to before `until`.
    """

    ids: Sequence[int] = ()
    reasons: Sequence[str] = ()
    gateways: Sequence[str] = ()
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: State = State.WAITING

    @property
    def says_which(self) -> bool:
        """Whether it says more than the state."""
        return any((self.ids, self.reasons, self.gateways, self.tenant, self.since, self.until))

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same of the rows of `quarantined_reading`."""
        row = QuarantinedReading
        conditions: list[ColumnElement[bool]] = []
        if self.ids:
            conditions.append(row.id.in_(self.ids))
        if self.reasons:
            conditions.append(row.reason.in_(self.reasons))
        if self.gateways:
            conditions.append(row.gateway_id.in_(self.gateways))
        if self.tenant is not None:
            of_tenant = (
                select(Gateway.id).join(Tenant, Tenant.id == Gateway.tenant_id).where(Tenant.slug == self.tenant)
            )
            conditions.append(row.gateway_id.in_(of_tenant))
        if self.since is not None:
            conditions.append(row.last_seen_at >= self.since)
        if self.until is not None:
            conditions.append(row.last_seen_at < self.until)
        if self.state is not State.ANY:
            conditions.append(row.replayed_at.is_(None) == (self.state is State.WAITING))
        return conditions
