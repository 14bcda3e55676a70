"""Registrations on a real database: all or nothing, and nothing twice."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import utc_now
from shared.models import Gateway, InstallationStatus, MeterInstallation, Property, PropertyConfig, Tenant, Unit
from shared.registry.changes import Count, Plan
from shared.registry.gateways import disable_gateway, find_gateway
from shared.registry.operations import import_registry, register_gateway
from shared.registry.problems import Place, RefusedError, RegistryError
from shared.registry.records import Record
from tests.shared.registry.files import GOOD, records
from tests.support.registry import create_building

KINDS = (Tenant, Property, PropertyConfig, Unit, Gateway, MeterInstallation, InstallationStatus)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def do_import(engine: AsyncEngine, *changes: dict[str, object], dry_run: bool = False) -> Plan:
    return await import_registry(engine, records(*changes), clock=utc_now, dry_run=dry_run)


async def problems_of(engine: AsyncEngine, *changes: dict[str, object]) -> list[str]:
    with pytest.raises(RefusedError) as refused:
        await do_import(engine, *changes)
    return [str(problem) for problem in refused.value.problems]


async def row_counts(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return [await connection.scalar(select(func.count()).select_from(kind)) or 0 for kind in KINDS]


async def installations(engine: AsyncEngine) -> dict[str, list[Row[tuple[object, ...]]]]:
    """The installations of each serial, the oldest first, with where they are."""
    query = text(
        "SELECT i.*, u.label, p.name AS property FROM meter_installation i JOIN unit u ON u.id = i.unit_id"
        " JOIN property p ON p.id = u.property_id ORDER BY i.installed_at"
    )
    found: dict[str, list[Row[tuple[object, ...]]]] = {}
    async with engine.connect() as connection:
        for row in await connection.execute(query):
            found.setdefault(row.meter_serial, []).append(row)
    return found


async def one(engine: AsyncEngine, serial: str = "00440145") -> Row[tuple[object, ...]]:
    (row,) = (await installations(engine))[serial]
    return row


async def test_a_file_is_registered_whole_and_a_second_time_changes_nothing(engine: AsyncEngine) -> None:
    changes: tuple[dict[str, object], ...] = (
        {"gateway_id": "GW-1", "tenant_name": "Acme A/S", "billing_start_month": "6", "installed_at": "2024-01-01"},
        {"gateway_id": "", "meter_serial": "2", "unit": "1. tv", "value_field": "total_kwh", "expected_interval": "1d"},
        {"meter_serial": "3", "installed_at": "2025-01-01", "replaces_serial": "2", "deleted_at": ""},
        {"meter_serial": "4", "installed_at": "2020-01-01", "deleted_at": "2021-01-01"},
    )
    plan = await do_import(engine, *changes)
    assert dict(plan.counts())["installations"] == Count(4, 0, 0)
    before = await row_counts(engine)
    assert before == [1, 1, 1, 2, 1, 4, 4]

    again = await do_import(engine, *changes)
    assert again.changes_nothing
    assert {kind: count.unchanged for kind, count in again.counts()} == {
        "tenants": 1,
        "properties": 1,
        "units": 2,
        "gateways": 1,
        "installations": 4,
    }
    assert await row_counts(engine) == before


async def test_each_new_installation_gets_a_status_at_which_alerts_looks_at_once(engine: AsyncEngine) -> None:
    await do_import(engine, {"deleted_at": ""}, {"meter_serial": "2", "deleted_at": "2024-06-01"})
    async with engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT i.meter_serial, s.state, s.due_at = i.installed_at, s.tenant_id = i.tenant_id"
                " FROM installation_status s JOIN meter_installation i ON i.id = s.installation_id ORDER BY 1"
            )
        )
        assert [tuple(row) for row in found] == [
            ("00440145", "never_seen", True, True),
            ("2", "never_seen", True, True),
        ]


async def test_with_one_bad_line_nothing_is_imported_and_every_bad_line_is_told(engine: AsyncEngine) -> None:
    problems = await problems_of(
        engine,
        {"meter_serial": "1"},
        {"meter_serial": "2", "medium": "steam"},
        {"meter_serial": "3", "address": "Elsewhere 1"},
        {"meter_serial": ""},
    )
    assert [problem.partition(": ")[0] for problem in problems] == ["line 3", "line 4", "line 5"]
    assert await row_counts(engine) == [0] * len(KINDS)


async def test_a_dry_run_says_what_would_change_and_changes_nothing(engine: AsyncEngine) -> None:
    plan = await do_import(engine, {}, dry_run=True)
    assert not plan.changes_nothing
    assert await row_counts(engine) == [0] * len(KINDS)


async def test_what_a_file_says_differently_is_updated(engine: AsyncEngine) -> None:
    await do_import(engine, {"gateway_id": "GW-1"})
    plan = await do_import(
        engine,
        {
            "tenant_name": "Acme Two",
            "address": "Nørregade 1B, 8000 Aarhus C",
            "billing_start_month": "7",
            "unit_of_measure": "MWh",
            "gateway_id": "GW-2",
        },
    )
    assert dict(plan.counts()) == {
        "tenants": Count(0, 1, 0),
        "properties": Count(0, 1, 0),
        "units": Count(0, 0, 1),
        "gateways": Count(1, 0, 0),
        "installations": Count(0, 1, 0),
    }
    it = await one(engine)
    assert (it.unit_of_measure, it.gateway_id) == ("MWh", "GW-2")
    async with engine.connect() as connection:
        assert await connection.scalar(select(Tenant.name)) == "Acme Two"
        assert await connection.scalar(select(Property.address)) == "Nørregade 1B, 8000 Aarhus C"
        assert await connection.scalar(select(PropertyConfig.billing_start_month)) == 7


async def test_a_column_that_a_file_does_not_have_changes_nothing_and_an_empty_one_clears(engine: AsyncEngine) -> None:
    await do_import(engine, {"gateway_id": "GW-1", "value_field": "total", "expected_interval": "1d"})
    assert (await do_import(engine, {})).changes_nothing
    await do_import(engine, {"gateway_id": "", "value_field": ""})
    it = await one(engine)
    assert (it.gateway_id, it.value_field) == (None, None)


async def test_a_property_keeps_its_time_zone_until_a_file_says_another(engine: AsyncEngine) -> None:
    async def imported(**cells: object) -> str | None:
        await do_import(engine, cells)
        async with engine.connect() as connection:
            return (await connection.scalars(select(PropertyConfig.time_zone))).one()

    assert await imported() is None
    assert await imported(time_zone="Europe/Oslo") == "Europe/Oslo"
    assert await imported(time_zone="") == await imported(billing_start_month="7") == "Europe/Oslo"
    assert await imported(time_zone="America/Nuuk") == "America/Nuuk"


async def test_a_meter_exchanged_later_ends_the_old_one(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    exchange: dict[str, object] = {"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"}
    await do_import(engine, exchange)
    old, new = await one(engine), await one(engine, "2")
    assert (new.replaces_id, old.deleted_at) == (old.id, new.installed_at)
    # The list of all meters, with the exchanged one still in it, and an empty end.
    assert (
        await do_import(engine, {"deleted_at": "", "replaces_serial": ""}, {**exchange, "deleted_at": ""})
    ).changes_nothing


async def test_a_replaced_meter_can_be_registered_after_the_one_that_replaces_it(engine: AsyncEngine) -> None:
    newer: dict[str, object] = {"meter_serial": "2", "installed_at": "2025-01-01"}
    await do_import(engine, newer)
    await do_import(engine, {}, {**newer, "replaces_serial": "00440145"})
    old, new = await one(engine), await one(engine, "2")
    assert (new.replaces_id, old.deleted_at) == (old.id, new.installed_at)


async def test_a_meter_in_another_flat_is_refused_unless_it_was_moved(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    (same_time,) = await problems_of(engine, {"unit": "1. tv"})
    assert "is installed in Nørregade 1, st. tv since that time; a meter that was moved is a new" in same_time
    moved: dict[str, object] = {"unit": "1. tv", "installed_at": "2025-01-01"}
    (later,) = await problems_of(engine, moved)
    assert "is installed in Nørregade 1, st. tv from 2023-12-31 23:00 UTC; a meter that was moved needs" in later

    plan = await do_import(engine, {**moved, "replaces_serial": "00440145"})
    assert dict(plan.counts())["installations"] == Count(1, 1, 0)
    old, new = (await installations(engine))["00440145"]
    assert (old.label, new.label) == ("st. tv", "1. tv")
    assert (new.replaces_id, old.deleted_at, new.deleted_at) == (old.id, new.installed_at, None)
    assert (await do_import(engine, {**moved, "replaces_serial": "00440145"})).changes_nothing


async def test_a_wrong_installed_at_is_corrected_and_alerts_looks_at_it_again(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    before = await one(engine)
    async with engine.begin() as connection:
        await connection.execute(update(InstallationStatus).values(due_at=None))
    plan = await do_import(engine, {"installed_at": "2024-03-01T00:00:00Z"})
    assert dict(plan.counts())["installations"] == Count(0, 1, 0)
    after = await one(engine)
    assert (after.id, after.installed_at) == (before.id, datetime(2024, 3, 1, tzinfo=UTC))
    async with engine.connect() as connection:
        due_at = await connection.scalar(select(InstallationStatus.due_at))
    assert due_at is not None
    assert abs((due_at - utc_now()).total_seconds()) < 60


async def test_with_its_id_an_installation_can_be_corrected_in_all_but_its_tenant(engine: AsyncEngine) -> None:
    id_ = str(uuid4())
    await do_import(engine, {"installation_id": id_})
    await do_import(
        engine, {"installation_id": id_, "meter_serial": "00440154", "unit": "2. tv", "installed_at": "2024-02-01"}
    )
    it = await one(engine, "00440154")
    assert (it.id, it.label) == (UUID(id_), "2. tv")
    (problem,) = await problems_of(engine, {"installation_id": id_, "tenant": "beta"})
    assert problem.endswith("is an installation of another tenant")


async def test_what_only_the_database_can_see_is_refused_in_one_line_and_changes_nothing(engine: AsyncEngine) -> None:
    first, second = str(uuid4()), str(uuid4())
    await do_import(engine, {"installation_id": first}, {"installation_id": second, "meter_serial": "2"})
    with pytest.raises(RegistryError, match=r"^nothing was imported, the database refused: duplicate key"):
        await do_import(
            engine,
            {"installation_id": second, "installed_at": "2024-02-01"},
            {"installation_id": first, "installed_at": "2024-02-01", "meter_serial": "2"},
        )
    assert str((await one(engine)).id) == first


async def test_an_id_that_contradicts_the_registered_meter_is_refused(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    (problem,) = await problems_of(engine, {"installation_id": str(uuid4())})
    assert f"is registered as installation {(await one(engine)).id}" in problem


async def test_an_end_can_be_given_and_moved_but_not_taken_back(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    await do_import(engine, {"deleted_at": "2025-01-01"})
    await do_import(engine, {"deleted_at": "2025-02-01T00:00:00Z"})
    assert (await one(engine)).deleted_at == datetime(2025, 2, 1, tzinfo=UTC)
    (problem,) = await problems_of(engine, {"deleted_at": ""})
    assert problem.startswith("line 2: deleted_at: empty: it ended at 2025-02-01 00:00 UTC; a meter that is mounted")
    assert (await do_import(engine, {})).changes_nothing


async def test_a_gateway_of_another_tenant_is_refused(engine: AsyncEngine) -> None:
    building = await create_building(engine)
    (problem,) = await problems_of(engine, {"gateway_id": building.gateway_id})
    assert problem.endswith("is a gateway of another tenant")


async def test_what_another_tenant_has_registered_stays_out_of_sight(engine: AsyncEngine) -> None:
    await do_import(engine, {"tenant": "beta"})
    await do_import(engine, {"tenant": "acme", "unit": "1. tv", "installed_at": "2025-01-01"})
    assert len((await installations(engine))["00440145"]) == 2


async def test_progress_is_told_up_to_the_last_row(engine: AsyncEngine) -> None:
    told: dict[str, tuple[int, int]] = {}

    def note(what: str, done: int, total: int) -> None:
        told[what] = (done, total)

    await import_registry(engine, records({}, {"meter_serial": "2"}), clock=utc_now, progress=note)
    assert told["meter_installation"] == (2, 2)
    assert told["tenant"] == (1, 1)


async def test_ten_thousand_lines_take_seconds(engine: AsyncEngine) -> None:
    many = [
        Record(
            Place(number),
            GOOD | {"meter_serial": f"{number:08d}", "unit": f"{number % 200}", "property": f"{number % 50}"},
        )
        for number in range(10_000)
    ]
    begun = time.monotonic()
    await import_registry(engine, many, clock=utc_now)
    assert time.monotonic() - begun < 15
    assert (await row_counts(engine))[5:] == [10_000, 10_000]
    assert (await import_registry(engine, many, clock=utc_now)).changes_nothing


async def test_a_gateway_is_registered_once_and_can_be_renamed(engine: AsyncEngine) -> None:
    await do_import(engine, {})
    assert await register_gateway(engine, "GW-9", tenant="acme", name=None)
    assert not await register_gateway(engine, "GW-9", tenant="acme", name="In the cellar")
    assert not await register_gateway(engine, "GW-9", tenant="acme", name=None)
    async with engine.connect() as connection:
        assert (await connection.execute(select(Gateway.id, Gateway.name))).all() == [("GW-9", "In the cellar")]


async def test_a_gateway_that_was_disabled_is_taken_into_use_again_by_its_own_tenant(engine: AsyncEngine) -> None:
    await do_import(engine, {}, {"tenant": "beta"})
    await register_gateway(engine, "GW-9", tenant="acme", name="In the cellar")
    await disable_gateway(engine, "GW-9", now=NOON)
    await disable_gateway(engine, "GW-9", now=NOON + timedelta(days=1))
    assert (await find_gateway(engine, "GW-9")).disabled_at == NOON
    with pytest.raises(RegistryError, match="GW-9 is a gateway of another tenant"):
        await register_gateway(engine, "GW-9", tenant="beta", name=None)
    assert not await register_gateway(engine, "GW-9", tenant="acme", name=None)
    found = await find_gateway(engine, "GW-9")
    assert (found.disabled_at, found.name) == (None, "In the cellar")


@pytest.mark.parametrize(
    ("gateway_id", "tenant", "reason"),
    [
        ("GW.9", "acme", "the gateway id must be 1-64 letters"),
        (".*", "acme", "the gateway id must be 1-64 letters"),
        ("GW-9", "nobody", "there is no tenant 'nobody'"),
        ("THEIRS", "acme", "THEIRS is a gateway of another tenant"),
    ],
)
async def test_a_gateway_that_cannot_be_registered_is_refused(
    engine: AsyncEngine, gateway_id: str, tenant: str, reason: str
) -> None:
    await do_import(engine, {}, {"tenant": "beta", "gateway_id": "THEIRS"})
    with pytest.raises(RegistryError, match=reason):
        await register_gateway(engine, gateway_id, tenant=tenant, name=None)
