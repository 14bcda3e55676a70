"""The database alone keeps tenants apart: what the role of callers can do without the filters of the code."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api.app import callers_database
from services.alerts.operations import alert_marks, bulk_marks, policy_preview, redelivery, targets
from services.alerts.operations import maintenance_windows as window_operations
from services.alerts.operations import policies as policy_operations
from services.alerts.queries import (
    alert_subjects,
    alerts,
    deliveries,
    maintenance_windows,
    policies,
    policy_change,
)
from services.alerts.queries.alerts import AlertFilters
from services.alerts.queries.deliveries import DeliveryFilters
from services.alerts.queries.delivery_fields import DeliveryState
from services.alerts.queries.maintenance_windows import WindowFilters
from services.alerts.queries.policies import PolicyFilters
from services.alerts.queries.policy_fields import PolicyBody
from services.alerts.queries.window_fields import MaintenanceWindowBody
from services.alerts.settings import AlertsSettings
from shared.http.reach import Reach
from shared.http.tenant_database import TenantDatabase
from shared.models import Base
from tests.services.alerts.api.data import NOON, add_alert, add_delivery
from tests.services.alerts.api.test_foreign_ids import inhabited
from tests.support.registry import Building
from tests.support.subscriptions import add_webhook

OF_TENANT = ("tenant", "property", "unit", "gateway", "meter_installation", "installation_status", "gateway_status")
TABLES = (*OF_TENANT, "gateway_heard", "alert", "policy", "maintenance_window", "subscription", "delivery")
HIDDEN = ("reading", "reading_correction", "quarantined_reading", "ingest_session", "property_config")
OTHERS = ("alert", "policy", "window", "delivery", "subscription")
PARTLY_HIDDEN = ("pipeline", "subscription_secret")
"""Of these, a preview reads up to when silence was judged, and a rotation when a secret ends."""


@pytest.fixture
async def buildings(engine: AsyncEngine) -> tuple[Building, Building]:
    """Two tenants' buildings, with as much in each."""
    ours, theirs = await inhabited(engine), await inhabited(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO gateway_heard SELECT id, now() FROM gateway"))
    return ours, theirs


@pytest.fixture
async def callers(settings: AlertsSettings) -> AsyncIterator[TenantDatabase]:
    opened = callers_database(settings)
    async with opened.open():
        yield opened


async def count(database: TenantDatabase, reach: Reach, table: str) -> int:
    async with database.driver_within(reach) as connection:
        return len(await connection.fetch(str(select(Base.metadata.tables[table]))))


@pytest.mark.parametrize("table", TABLES)
async def test_a_statement_without_a_filter_meets_only_the_tenant_that_is_set(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine, table: str
) -> None:
    async with engine.connect() as connection:
        all_rows = len((await connection.execute(select(Base.metadata.tables[table]))).all())
    assert 0 < await count(callers, Reach(buildings[0].tenant_id), table) == all_rows / 2


@pytest.mark.parametrize("table", [table for table in TABLES if table != "tenant"])
async def test_a_narrowed_caller_meets_only_the_properties_that_are_set(
    callers: TenantDatabase, buildings: tuple[Building, Building], table: str
) -> None:
    ours, theirs = buildings

    async def rows(*property_ids: UUID) -> int:
        return await count(callers, Reach(ours.tenant_id, frozenset(property_ids)), table)

    all_of_ours = await count(callers, Reach(ours.tenant_id), table)
    assert await rows(ours.property_id) == await rows(ours.property_id, theirs.property_id) == all_of_ours > 0
    assert await rows(theirs.property_id) == await rows() == 0


@pytest.mark.parametrize("table", [*HIDDEN, *PARTLY_HIDDEN])
async def test_the_role_of_callers_reads_nothing_that_it_does_not_need(
    callers: TenantDatabase, buildings: tuple[Building, Building], table: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"permission denied for table {table}"):
        await count(callers, Reach(buildings[0].tenant_id), table)


async def test_role_and_tenant_end_with_the_transaction(
    callers: TenantDatabase, buildings: tuple[Building, Building]
) -> None:
    reach = Reach(buildings[0].tenant_id)

    async def fail() -> None:
        async with callers.writing_within(reach) as connection:
            await connection.execute("DELETE FROM policy")
            await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    async with callers.writing_within(reach) as connection:
        assert len(await connection.fetch("SELECT FROM policy")) == 2
        assert await connection.fetchval("SELECT current_user") == "mbus_alerts_api"
        (backend,) = [await connection.fetchval("SELECT pg_backend_pid()")]
    async with callers._connection_for(reach.tenant_id) as connection:  # noqa: SLF001 - what no caller gets
        assert await connection.fetchval("SELECT pg_backend_pid()") == backend
        assert await connection.fetchval("SELECT current_user <> 'mbus_alerts_api'")
        for setting in ("mbus.tenant_id", "mbus.property_ids"):
            assert await connection.fetchval("SELECT current_setting($1, true)", setting) in {None, ""}


WRITES = (
    "UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'me' WHERE id = $1",
    "UPDATE alert SET snoozed_until = now(), snoozed_by = 'me' WHERE id = $1",
    "UPDATE policy SET stale_after = '9 days' WHERE id = $1",
    "DELETE FROM policy WHERE id = $1",
    "UPDATE maintenance_window SET note = 'mine' WHERE id = $1",
    "DELETE FROM maintenance_window WHERE id = $1",
    "UPDATE subscription SET name = 'mine' WHERE id = $1",
    "UPDATE subscription_secret SET expires_at = now() WHERE subscription_id = $1",
    "DELETE FROM subscription_secret WHERE subscription_id = $1",
    "UPDATE delivery SET delivered_at = NULL, digest_id = id WHERE id = $1",
)


@pytest.mark.parametrize("statement", WRITES)
async def test_a_write_without_a_filter_touches_only_what_is_within_reach(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine, statement: str
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    (of,) = [f"{what}_id" for what in OTHERS if what in statement]

    async def touched(reach: Reach, building: Building) -> bool:
        async with callers.writing_within(reach) as connection:
            return (await connection.execute(statement, building.others[of])).endswith(" 1")

    narrowed = Reach(ours.tenant_id, frozenset([ours.property_id, theirs.property_id]))
    for reach in (narrowed, Reach(ours.tenant_id)):
        assert not await touched(reach, theirs)
    assert not await touched(narrowed, elsewhere)
    assert await touched(narrowed, ours)
    assert await touched(Reach(ours.tenant_id), elsewhere)


async def test_a_policy_is_of_what_is_within_reach_or_the_database_refuses_it(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM policy"))
    insert = (
        "INSERT INTO policy (tenant_id, installation_id, property_id, medium, stale_after)"
        " VALUES ($1, $2, $3, $4, '1 day')"
    )

    async def make(reach: Reach, *values: object) -> None:
        async with callers.writing_within(reach) as connection:
            await connection.execute(insert, *values)

    def targets(building: Building) -> Sequence[tuple[object, ...]]:
        return (building.installation_ids[0], None, None), (None, building.property_id, None)

    whole = Reach(ours.tenant_id)
    narrowed = Reach(ours.tenant_id, frozenset([ours.property_id, theirs.property_id]))
    refused: list[tuple[Reach, tuple[object, ...]]] = [
        *((whole, (ours.tenant_id, *target)) for target in targets(theirs)),
        *((whole, (theirs.tenant_id, *target)) for target in targets(theirs)),
        *((narrowed, (ours.tenant_id, *target)) for target in (*targets(theirs), *targets(elsewhere))),
        (narrowed, (ours.tenant_id, None, None, "heat")),
        (narrowed, (ours.tenant_id, None, None, None)),
    ]
    for reach, values in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await make(reach, *values)
    for target in targets(ours):
        await make(narrowed, ours.tenant_id, *target)
    for target in (*targets(elsewhere), (None, None, "heat"), (None, None, None)):
        await make(whole, ours.tenant_id, *target)
    for statement in ("UPDATE policy SET stale_after = '9 days'", "DELETE FROM policy"):
        async with callers.writing_within(narrowed) as driver:
            assert (await driver.execute(statement)).endswith(" 2"), "those of all are not its to change"


async def test_a_window_is_of_what_is_within_reach_or_the_database_refuses_it(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM maintenance_window"))
        # One meter of this gateway is here, and one is not.
        await connection.execute(
            text("UPDATE meter_installation SET gateway_id = :shared WHERE id = :first"),
            {"shared": elsewhere.gateway_id, "first": ours.installation_ids[0]},
        )
    insert = (
        "INSERT INTO maintenance_window (tenant_id, installation_id, property_id, gateway_id, weekdays)"
        " VALUES ($1, $2, $3, $4, '{2}')"
    )

    async def make(reach: Reach, *values: object) -> None:
        async with callers.writing_within(reach) as connection:
            await connection.execute(insert, *values)

    def targets_in(building: Building) -> Sequence[tuple[object, ...]]:
        first, house, gateway = building.installation_ids[0], building.property_id, building.gateway_id
        return (first, None, None), (None, house, None), (None, None, gateway)

    whole = Reach(ours.tenant_id)
    narrowed = Reach(ours.tenant_id, frozenset([ours.property_id, theirs.property_id]))
    refused: list[tuple[Reach, tuple[object, ...]]] = [
        *((whole, (ours.tenant_id, *target)) for target in targets_in(theirs)),
        *((whole, (theirs.tenant_id, *target)) for target in targets_in(theirs)),
        *((narrowed, (ours.tenant_id, *target)) for target in (*targets_in(theirs), *targets_in(elsewhere))),
        (narrowed, (ours.tenant_id, None, None, None)),
    ]
    for reach, values in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await make(reach, *values)
    for target in targets_in(ours):
        await make(narrowed, ours.tenant_id, *target)
    for target in (*targets_in(elsewhere), (None, None, None)):
        await make(whole, ours.tenant_id, *target)
    assert await count(callers, narrowed, "maintenance_window") == 5, "with that of the gateway that is shared"
    for statement in ("UPDATE maintenance_window SET note = 'mine'", "DELETE FROM maintenance_window"):
        async with callers.writing_within(narrowed) as driver:
            assert (await driver.execute(statement)).endswith(" 3"), "those of more are not its to change"


async def test_what_a_policy_makes_due_is_its_tenants_alone(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    async with engine.begin() as connection:
        for table in ("installation_status", "gateway_status"):
            await connection.execute(text(f"UPDATE {table} SET due_at = NULL"))
    async with callers.writing_within(Reach(ours.tenant_id)) as driver:
        await driver.execute("UPDATE policy SET stale_after = '9 days'")
    async with engine.connect() as connection:
        for table in ("installation_status", "gateway_status"):
            due = await connection.execute(text(f"SELECT DISTINCT tenant_id FROM {table} WHERE due_at IS NOT NULL"))
            assert due.scalars().all() == [ours.tenant_id] != [theirs.tenant_id]


@pytest.fixture(params=["both", "the code's filters alone", "the database's policies alone"])
async def _lock(request: pytest.FixtureRequest, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two locks on what a caller sees, these only."""
    lock = request.param
    if lock == "the code's filters alone":
        async with engine.begin() as connection:
            for table in TABLES:
                await connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
    if lock == "the database's policies alone":
        open_to_all = "$1::uuid IS NOT NULL AND ($2::uuid[] IS NULL OR true)"
        monkeypatch.setattr(alerts, "WITHIN_REACH", open_to_all)
        monkeypatch.setattr(alerts, "OF_FEW", alerts.OF_FEW.replace("a.tenant_id = $1", "$1::uuid IS NOT NULL"))
        all_meters = alert_subjects.SELECTED.replace("i.tenant_id = $1", "$1::uuid IS NOT NULL")
        all_meters = all_meters.replace("$2::uuid[] IS NULL OR", "$2::uuid[] IS NULL OR true OR")
        monkeypatch.setattr(alert_subjects, "SELECTED", all_meters)
        monkeypatch.setattr(alert_marks, "WITHIN_REACH", open_to_all)
        monkeypatch.setattr(bulk_marks, "WITHIN_REACH", open_to_all)
        for name in ("OF_GATEWAY", "OF_PROPERTY"):
            statement = getattr(bulk_marks, name).replace("i.tenant_id = $1", "$1::uuid IS NOT NULL")
            monkeypatch.setattr(bulk_marks, name, statement)
        monkeypatch.setattr(policies, "WITHIN_REACH", open_to_all)
        monkeypatch.setattr(maintenance_windows, "WITHIN_REACH", open_to_all)
        for module in (deliveries, redelivery):
            monkeypatch.setattr(module, "WITHIN_REACH", open_to_all)
        monkeypatch.setattr(deliveries, "SUBSCRIPTION_WITHIN_REACH", open_to_all)
        monkeypatch.setattr(policy_change, "within", lambda _: ())
        monkeypatch.setattr(policy_change, "gateways_within", lambda _: ())
        for name in ("HAS_INSTALLATION", "HAS_PROPERTY", "HAS_GATEWAY"):
            statement = getattr(targets, name)
            for table in ("i", "p", "g"):
                statement = statement.replace(f"{table}.tenant_id = $1", "$1::uuid IS NOT NULL")
            statement = statement.replace("$2::uuid[] IS NULL OR", "$2::uuid[] IS NULL OR true OR")
            monkeypatch.setattr(targets, name, statement)


@pytest.mark.usefixtures("_lock")
async def test_either_lock_alone_keeps_a_narrowed_caller_and_a_strangers_tenant_apart(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    reach = Reach(ours.tenant_id, frozenset({ours.property_id, theirs.property_id}))
    page = await alerts.alerts_page(callers, reach=reach, filters=AlertFilters(), cursor=None, limit=100, now=NOON)
    assert len(page.items) == 3
    for item in page.items:
        place = item.installation.property_id if item.installation else item.gateway and item.gateway.id
        assert place in {ours.property_id, ours.gateway_id}
    listed = await policies.policies_page(callers, reach=reach, filters=PolicyFilters(), cursor=None, limit=100)
    assert {one.installation_id or one.property_id for one in listed.items} == {
        ours.installation_ids[0],
        ours.property_id,
    }
    for sent in (DeliveryFilters(), DeliveryFilters(states=frozenset(DeliveryState))):
        log = await deliveries.deliveries_page(callers, reach=reach, filters=sent, cursor=None, limit=100)
        assert [one.subscription_id for one in log.items] == [ours.others["subscription_id"]] * 2
    for building in (ours, theirs, elsewhere):
        alert_id, policy_id = building.others["alert_id"], building.others["policy_id"]
        is_ours = building is ours
        assert (await alerts.one_alert(callers, reach=reach, alert_id=alert_id, now=NOON) is not None) == is_ours
        marked = await alert_marks.acknowledge(callers, reach=reach, alert_id=alert_id, who="me", note=None, now=NOON)
        assert (marked is not None) == is_ours
        assert (await policies.one_policy(callers, reach=reach, policy_id=policy_id) is not None) == is_ours
        wanted = PolicyBody(stale_after=listed.items[0].stale_after, property_id=building.property_id)
        written = None
        try:
            written = await policy_operations.replace_policy(
                callers, reach=reach, policy_id=policy_id, wanted=wanted, who="me", now=NOON
            )
            seen = await policy_preview.preview(callers, reach=reach, policy_id=None, wanted=wanted, now=NOON)
            assert (is_ours, seen.installations) == (True, 1), "the other has a policy of its own"
        except targets.NoTargetError:
            assert not is_ours
        assert (written is not None) == is_ours
        assert await policy_operations.remove_policy(callers, reach=reach, policy_id=policy_id) == is_ours
        delivery_id = building.others["delivery_id"]
        assert (await deliveries.one_delivery(callers, reach=reach, delivery_id=delivery_id) is not None) == is_ours
        again = await redelivery.redeliver(callers, reach=reach, delivery_id=delivery_id)
        assert (again is not None) == is_ours


async def test_a_narrowed_caller_sees_what_is_sent_to_subscriptions_of_its_properties_alone(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, _ = buildings
    elsewhere = await inhabited(engine, beside=ours)
    of_both = await add_webhook(engine, ours.tenant_id, property_ids=[ours.property_id, elsewhere.property_id])
    of_all = await add_webhook(engine, ours.tenant_id)
    for subscription_id in (of_both, of_all):
        await add_delivery(engine, ours, subscription_id)
    here, there = ours.property_id, elsewhere.property_id
    for reach, seen in (
        (frozenset[UUID](), 0),
        (frozenset([here]), 2),
        (frozenset([here, there]), 5),
        (None, 6),
    ):
        page = await deliveries.deliveries_page(
            callers, reach=Reach(ours.tenant_id, reach), filters=DeliveryFilters(), cursor=None, limit=100
        )
        assert len(page.items) == await count(callers, Reach(ours.tenant_id, reach), "delivery") == seen


async def test_deliveries_to_the_exchange_are_in_no_log(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, _ = buildings
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE delivery SET subscription_id = NULL"))
    whole = Reach(ours.tenant_id)
    page = await deliveries.deliveries_page(callers, reach=whole, filters=DeliveryFilters(), cursor=None, limit=100)
    assert page.items == []
    assert await count(callers, whole, "delivery") == 0


@pytest.mark.usefixtures("_lock")
async def test_either_lock_alone_does_so_for_marks_of_many_alerts(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    reach = Reach(ours.tenant_id, frozenset({ours.property_id, theirs.property_id}))
    for building in (ours, theirs, elsewhere):
        for target, alerts_of_it in (
            (targets.Target(installation_id=building.installation_ids[0]), 1),
            (targets.Target(property_id=building.property_id), 3),
            (targets.Target(gateway_id=building.gateway_id), 3),
        ):
            try:
                found = await bulk_marks.snooze_all(callers, reach=reach, target=target, who="me", until=NOON)
            except targets.NoTargetError:
                assert building is not ours
            else:
                assert (building, found.marked) == (ours, alerts_of_it)
    async with engine.connect() as connection:
        marked = await connection.execute(text("SELECT DISTINCT tenant_id FROM alert WHERE snoozed_by = 'me'"))
        assert marked.scalars().all() == [ours.tenant_id]


@pytest.mark.usefixtures("_lock")
async def test_either_lock_alone_does_so_for_maintenance_windows(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    elsewhere = await inhabited(engine, beside=ours)
    reach = Reach(ours.tenant_id, frozenset({ours.property_id, theirs.property_id}))
    windows = await maintenance_windows.windows_page(
        callers, reach=reach, filters=WindowFilters(), cursor=None, limit=100
    )
    assert {one.installation_id or one.property_id or one.gateway_id for one in windows.items} == {
        ours.installation_ids[0],
        ours.property_id,
        ours.gateway_id,
    }
    for building in (ours, theirs, elsewhere):
        window_id, is_ours = building.others["window_id"], building is ours
        found = await maintenance_windows.one_window(callers, reach=reach, window_id=window_id)
        assert (found is not None) == is_ours
        for wanted in (
            MaintenanceWindowBody(installation_id=building.installation_ids[0], weekdays=[1]),
            MaintenanceWindowBody(property_id=building.property_id, weekdays=[1]),
            MaintenanceWindowBody(gateway_id=building.gateway_id, weekdays=[1]),
        ):
            replaced = None
            try:
                replaced = await window_operations.replace_window(
                    callers, reach=reach, window_id=window_id, wanted=wanted, who="me", now=NOON
                )
                await window_operations.create_window(callers, reach=reach, wanted=wanted, who="me", now=NOON)
            except targets.NoTargetError:
                assert not is_ours
            else:
                assert is_ours
            assert (replaced is not None) == is_ours
        assert await window_operations.remove_window(callers, reach=reach, window_id=window_id) == is_ours


async def test_a_silent_gateway_is_seen_by_whoever_has_a_meter_that_it_is_to_hear(
    callers: TenantDatabase, buildings: tuple[Building, Building], engine: AsyncEngine
) -> None:
    ours, theirs = buildings
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM delivery"))
        await connection.execute(text("DELETE FROM alert"))
    await add_alert(engine, ours)
    for property_id, seen in ((ours.property_id, 1), (theirs.property_id, 0)):
        assert await count(callers, Reach(ours.tenant_id, frozenset([property_id])), "alert") == seen
