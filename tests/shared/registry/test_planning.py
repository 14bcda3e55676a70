"""What rows would change, and what is wrong with them together; decided without a database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.models import UnitOfMeasure
from shared.registry.changes import Count, Plan
from shared.registry.planning import make_plan
from shared.registry.registered import Installation, KnownGateway, KnownTenant, Registered
from shared.registry.rows import read_rows
from tests.shared.registry.files import records

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def plan_of(*changes: dict[str, object], registered: Registered | None = None) -> tuple[Plan, list[str]]:
    rows, unreadable = read_rows(records(*changes))
    assert unreadable == []
    plan, problems = make_plan(rows, registered or Registered(), now=NOW, new_id=uuid4)
    return plan, [str(problem) for problem in problems]


def good_plan(*changes: dict[str, object], registered: Registered | None = None) -> Plan:
    plan, problems = plan_of(*changes, registered=registered)
    assert problems == []
    return plan


def problems_of(*changes: dict[str, object], registered: Registered | None = None) -> list[str]:
    return plan_of(*changes, registered=registered)[1]


def created(plan: Plan) -> dict[str, Installation]:
    return {it.meter_serial: it for it in plan.installations.created}


def test_rows_of_the_same_house_and_flat_share_them() -> None:
    plan = good_plan(
        {"gateway_id": "GW-1"},
        {"meter_serial": "2", "gateway_id": "GW-1"},
        {"meter_serial": "3", "unit": "1. tv"},
        {"meter_serial": "4", "property": "Skovvej 3", "gateway_id": "GW-2"},
        {"meter_serial": "5", "tenant": "beta"},
    )
    assert dict(plan.counts()) == {
        "tenants": Count(2, 0, 0),
        "properties": Count(3, 0, 0),
        "units": Count(4, 0, 0),
        "gateways": Count(2, 0, 0),
        "installations": Count(5, 0, 0),
    }
    meters = created(plan)
    assert meters["00440145"].unit_id == meters["2"].unit_id
    assert len({it.unit_id for it in meters.values()}) == 4
    assert (meters["2"].gateway_id, meters["3"].gateway_id) == ("GW-1", None)


def test_what_is_not_said_of_tenant_and_property_takes_its_default() -> None:
    plan = good_plan({})
    assert (plan.tenants.created[0]["name"], plan.tenants.created[0]["time_zone"]) == ("acme", "Europe/Copenhagen")
    assert plan.configs.created[0]["billing_start_month"] == 1
    assert plan.configs.created[0]["expected_interval"] == timedelta(hours=1)


def test_one_row_is_enough_to_say_what_holds_for_the_whole_property() -> None:
    plan = good_plan({"billing_start_month": ""}, {"meter_serial": "2", "billing_start_month": "7"})
    assert plan.configs.created[0]["billing_start_month"] == 7


@pytest.mark.parametrize(
    ("time_zone", "midnight"),
    [
        ("Europe/Copenhagen", datetime(2024, 6, 30, 22, tzinfo=UTC)),
        ("Atlantic/Reykjavik", datetime(2024, 7, 1, tzinfo=UTC)),
    ],
)
def test_a_date_means_its_midnight_in_the_tenants_time_zone(time_zone: str, midnight: datetime) -> None:
    registered = Registered(tenants={"acme": KnownTenant(uuid4(), "Acme", time_zone)})
    plan = good_plan({"installed_at": "2024-07-01"}, registered=registered)
    assert created(plan)["00440145"].installed_at == midnight


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            ({"address": "A 1"}, {"meter_serial": "2", "address": "B 2"}),
            "line 3: address: 'B 2': line 2 says A 1 of this property",
        ),
        (
            ({"tenant_name": "Acme"}, {"meter_serial": "2", "tenant_name": "Akme"}),
            "line 3: tenant_name: 'Akme': line 2 says Acme of this tenant",
        ),
        (
            ({"expected_interval": "1h"}, {"meter_serial": "2", "expected_interval": "1d"}),
            "line 3: expected_interval: '1 day, 0:00:00': line 2 says 1:00:00 of this property",
        ),
        (
            ({"time_zone": "Europe/Oslo"}, {"meter_serial": "2", "time_zone": "America/Nuuk"}),
            "line 3: time_zone: 'America/Nuuk': line 2 says Europe/Oslo of this property",
        ),
        (
            ({"gateway_id": "GW-1"}, {"tenant": "beta", "gateway_id": "GW-1"}),
            "line 3: tenant: 'beta': line 2 says acme of gateway GW-1",
        ),
    ],
)
def test_rows_that_disagree_are_told(changes: tuple[dict[str, object], ...], problem: str) -> None:
    assert problem in problems_of(*changes)


def test_the_same_meter_twice_is_told_even_when_both_lines_say_the_same() -> None:
    assert problems_of({}, {}) == ["line 3: meter_serial: '00440145': is on line 2 too"]


def test_the_same_meter_in_two_flats_at_once_is_told() -> None:
    (problem,) = problems_of({}, {"unit": "1. tv", "installed_at": "2025-01-01"})
    assert problem.startswith(
        "line 3: meter_serial: '00440145': is installed in Nørregade 1, st. tv (line 2) from 2023"
    )


def test_the_same_serial_may_be_another_tenants_too() -> None:
    assert len(good_plan({}, {"tenant": "beta"}).installations.created) == 2


def test_the_same_id_twice_is_told() -> None:
    id_ = str(UUID(int=1))
    problems = problems_of({"installation_id": id_}, {"installation_id": id_, "meter_serial": "2"})
    assert problems == ["line 3: meter_serial: '2': is on line 2 too"]


def test_a_meter_may_come_back_after_it_was_taken_out() -> None:
    plan = good_plan(
        {"deleted_at": "2024-06-01", "installed_at": "2024-01-01"},
        {"deleted_at": "", "installed_at": "2024-06-01", "unit": "1. tv"},
    )
    assert len(plan.installations.created) == 2


def test_a_replacement_ends_what_it_replaces() -> None:
    plan = good_plan(
        {"replaces_serial": ""}, {"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"}
    )
    old, new = created(plan)["00440145"], created(plan)["2"]
    assert new.replaces_id == old.id
    assert old.deleted_at == new.installed_at
    assert new.deleted_at is None


def test_a_replaced_meter_keeps_an_end_of_its_own() -> None:
    plan = good_plan(
        {"deleted_at": "2024-12-01T00:00:00Z"},
        {"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"},
    )
    assert created(plan)["00440145"].deleted_at == datetime(2024, 12, 1, tzinfo=UTC)


def test_the_lines_of_a_replacement_may_stand_in_any_order() -> None:
    plan = good_plan({"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"}, {})
    assert created(plan)["2"].replaces_id == created(plan)["00440145"].id


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            ({"replaces_serial": "77"},),
            "line 2: replaces_serial: '77': no such meter of this tenant was installed before this one",
        ),
        (
            ({"replaces_serial": "00440145"},),
            "line 2: replaces_serial: '00440145': no such meter of this tenant was installed before this one",
        ),
        (
            ({"tenant": "beta"}, {"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"}),
            "line 3: replaces_serial: '00440145': no such meter of this tenant was installed before this one",
        ),
        (
            (
                {},
                {"meter_serial": "2", "installed_at": "2025-01-01", "replaces_serial": "00440145"},
                {"meter_serial": "3", "installed_at": "2025-01-01", "replaces_serial": "00440145"},
            ),
            "line 4: replaces_serial: '00440145': line 3 replaces it too",
        ),
    ],
)
def test_a_replacement_that_cannot_be_is_told(changes: tuple[dict[str, object], ...], problem: str) -> None:
    assert problems_of(*changes) == [problem]


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        (
            {"installed_at": "2026-11-02T00:00:01Z"},
            "line 2: installed_at: '2026-11-02 00:00:01+00:00': is more than a day ahead",
        ),
        ({"deleted_at": "2026-12-01"}, "line 2: deleted_at: '2026-12-01': is more than a day ahead"),
        ({"deleted_at": "2023-12-31"}, "line 2: deleted_at: '2023-12-31': is before installed_at"),
    ],
)
def test_impossible_times_are_told(times: dict[str, object], problem: str) -> None:
    assert problems_of(times) == [problem]


def test_an_installation_of_tomorrow_may_be_registered_today() -> None:
    good_plan({"installed_at": "2026-11-02T00:00:00Z"})


def test_gateways_of_another_tenant_and_gone_ones_are_told_on_each_line() -> None:
    acme, other = uuid4(), uuid4()
    registered = Registered(
        tenants={"acme": KnownTenant(acme, "Acme", "Europe/Copenhagen")},
        gateways={"THEIRS": KnownGateway(other, None), "GONE": KnownGateway(acme, NOW)},
    )
    problems = problems_of(
        {"gateway_id": "THEIRS"},
        {"gateway_id": "GONE", "meter_serial": "2"},
        {"gateway_id": "THEIRS", "meter_serial": "3"},
        registered=registered,
    )
    assert problems == [
        "line 2: gateway_id: 'THEIRS': is a gateway of another tenant",
        "line 3: gateway_id: 'GONE': is a gateway no longer in use",
        "line 4: gateway_id: 'THEIRS': is a gateway of another tenant",
    ]


def test_units_of_measure_are_kept_as_the_file_says() -> None:
    plan = good_plan({"unit_of_measure": "MWh"})
    assert created(plan)["00440145"].unit_of_measure == UnitOfMeasure.MWH
