"""Which deliveries an operator means: by id, tenant, subscription, state and time; and what there is of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.queries.delivery_fields import DeliveryState
from shared.models import Delivery, Subscription, Tenant

IS_PENDING = and_(Delivery.delivered_at.is_(None), Delivery.dropped_at.is_(None))
OF_STATE = {
    DeliveryState.PENDING: IS_PENDING,
    DeliveryState.DELIVERED: Delivery.delivered_at.is_not(None),
    DeliveryState.DROPPED: Delivery.dropped_at.is_not(None),
}


@dataclass(frozen=True)
class Selection:
    """What all of these say; what is empty says nothing. `since` is when the event was made."""

    ids: Sequence[UUID] = ()
    tenant_id: UUID | None = None
    subscription_id: UUID | None = None
    state: DeliveryState | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same of the rows of `delivery`, of which those for the exchange are none."""
        conditions: list[ColumnElement[bool]] = [Delivery.subscription_id.is_not(None)]
        if self.ids:
            conditions.append(Delivery.id.in_(self.ids))
        if self.tenant_id is not None:
            conditions.append(Delivery.tenant_id == self.tenant_id)
        if self.subscription_id is not None:
            conditions.append(Delivery.subscription_id == self.subscription_id)
        if self.state is not None:
            conditions.append(OF_STATE[self.state])
        if self.since is not None:
            conditions.append(Delivery.created_at >= self.since)
        return conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A delivery as an operator sees it. `to` is the subscription's name; what it tells of whom is its tenant's."""

    id: UUID
    digest_id: UUID | None
    tenant: str
    subscription_id: UUID
    to: str
    event_type: str
    created_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    dropped_because: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a subscription is sent anything: why not, or None."""

    id: UUID
    silent_because: str | None


async def newest(engine: AsyncEngine, selection: Selection, *, limit: int) -> list[Logged]:
    """Up to `limit` of those selected."""
    row = Delivery
    state = case(
        (row.delivered_at.is_not(None), "delivered"), (row.dropped_at.is_not(None), "dropped"), else_="pending"
    )
    asked = (
        select(
            row.id,
            row.digest_id,
            Tenant.slug.label("tenant"),
            row.subscription_id,
            Subscription.name.label("to"),
            row.event_type,
            row.created_at,
            state.label("state"),
            row.attempts,
            case((IS_PENDING, row.next_attempt_at)).label("next_attempt_at"),
            row.last_attempt_at,
            row.last_status,
            row.last_error,
            row.dropped_because,
        )
        .join(Subscription, Subscription.id == row.subscription_id)
        .join(Tenant, Tenant.id == row.tenant_id)
        .where(*selection.conditions())
        .order_by(row.created_at.desc(), row.position.desc())
        .limit(limit)
    )
    async with engine.connect() as connection:
        found = (await connection.execute(asked)).mappings()
        return [Logged(**{**it, "state": DeliveryState(it["state"])}) for it in found]


async def count_by_state(engine: AsyncEngine, selection: Selection) -> dict[DeliveryState, int]:
    """How many are selected in each state in which there are any."""
    number = func.count()
    asked = select(*(number.filter(OF_STATE[state]) for state in DeliveryState)).where(*selection.conditions())
    async with engine.connect() as connection:
        counts = (await connection.execute(asked)).one()
    return {state: count for state, count in zip(DeliveryState, counts, strict=True) if count}


async def not_there(engine: AsyncEngine, ids: Sequence[UUID]) -> list[UUID]:
    """Those of the ids that no delivery to a subscription has."""
    async with engine.connect() as connection:
        there = set(await connection.scalars(select(Delivery.id).where(*Selection(ids=ids).conditions())))
    return [one for one in dict.fromkeys(ids) if one not in there]


async def find_subscription(connection: AsyncConnection, subscription_id: UUID) -> Standing | None:
    """How the subscription stands; None where there is none."""
    found = await _standings(connection, Subscription.id == subscription_id)
    return found[0] if found else None


async def subscriptions_of(engine: AsyncEngine, selection: Selection) -> list[Standing]:
    """How those stand that the selected deliveries are to."""
    chosen = select(Delivery.subscription_id).where(*selection.conditions())
    async with engine.connect() as connection:
        return await _standings(connection, Subscription.id.in_(chosen))


async def _standings(connection: AsyncConnection, which: ColumnElement[bool]) -> list[Standing]:
    row = Subscription
    asked = select(row.id, row.disabled_because, row.deleted_at).where(which).order_by(row.id)
    return [
        Standing(id_, "removed" if deleted_at else f"disabled ({because})" if because else None)
        for id_, because, deleted_at in await connection.execute(asked)
    ]
