"""Either lock alone, the code's filters or the database's policies, keeps subscriptions of others apart."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations import subscriptions as operations
from services.alerts.queries import subscriptions
from services.alerts.queries.subscription_fields import SubscriptionBody
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase
from tests.services.alerts.api.data import NOON
from tests.services.alerts.api.test_foreign_ids import inhabited
from tests.services.alerts.api.test_isolation import buildings, callers
from tests.support.registry import Building

__all__ = ["buildings", "callers"]


@pytest.fixture(params=["the code's filters alone", "the database's policies alone"])
async def _lock(request: pytest.FixtureRequest, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the code's filters alone":
        async with engine.begin() as connection:
            for table in ("subscription", "subscription_secret", "delivery", "property"):
                await connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
        return
    open_to_all = "$1::uuid IS NOT NULL AND ($2::uuid[] IS NULL OR true)"
    for module, names in ((subscriptions, ("WITHIN_REACH",)), (operations, ("REMOVE", "LOCK"))):
        for name in names:
            statement = getattr(module, name).replace(subscriptions.WITHIN_REACH, open_to_all)
            monkeypatch.setattr(module, name, statement)
    for name, table in (("UPDATE", "s."), ("KNOWN", "")):
        statement = getattr(operations, name).replace(f"{table}tenant_id = $1", "$1::uuid IS NOT NULL")
        monkeypatch.setattr(
            operations, name, statement.replace("$2::uuid[] IS NULL OR", "$2::uuid[] IS NULL OR true OR")
        )


@pytest.mark.usefixtures("_lock")
async def test_it_does(
    callers: TenantDatabase,
    buildings: tuple[Building, Building],
    engine: AsyncEngine,
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    reach = Reach(ours.tenant_id, frozenset({ours.property_id, theirs.property_id}))
    page = await subscriptions.subscriptions_page(callers, reach=reach, cursor=None, limit=100)
    assert {tuple(one.property_ids) for one in page.items} == {(ours.property_id,)}
    assert len(page.items) == 2
    for building in (ours, theirs, elsewhere):
        one, is_ours = building.others["subscription_id"], building is ours
        found = await subscriptions.one_subscription(callers, reach=reach, subscription_id=one)
        assert (found is not None) == is_ours
        tested = await operations.send_test(callers, reach=reach, subscription_id=one, now=NOON)
        assert (tested is not None) == is_ours
        rotated = await operations.rotate_secret(
            callers, reach=reach, subscription_id=one, secret="whsec_x", keep_until=NOON + timedelta(days=1), now=NOON
        )
        assert rotated == is_ours
        wanted = SubscriptionBody(name="mine", url="https://example.com/", property_ids=[building.property_id])
        written = None
        try:
            written = await operations.replace_subscription(
                callers, reach=reach, subscription_id=one, wanted=wanted, who="me", now=NOON
            )
            await operations.create_subscription(
                callers, reach=reach, wanted=wanted, secret="whsec_x", who="me", now=NOON
            )
        except (operations.BeyondReachError, operations.NoPropertyError):
            assert not is_ours
        else:
            assert is_ours
        assert (written is not None) == is_ours
        removed = await operations.remove_subscription(callers, reach=reach, subscription_id=one, who="me", now=NOON)
        assert removed == is_ours
