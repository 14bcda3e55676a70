"""A fleet made up from nothing is good for the registry, and the same for the same seed."""

from cli.fleet.consumption import DAY_S
from cli.fleet.layout import INSTALLED_WITHIN_DAYS, LONGEST_HISTORY_DAYS, LONGEST_TENANT, Layout
from shared.models import Medium
from shared.registry.rows import read_rows
from tests.cli.fleet.fleets import LAYOUT, NOW, WEEK, fleet


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another_one() -> None:
    def messages(seed: int) -> list[bytes]:
        gateways = fleet(Layout("fleet", gateways=2, meters=5, seed=seed))
        return [of.message(of.readings(WEEK, range(200))) for of in gateways]

    assert messages(1) == messages(1)
    assert messages(1) != messages(2)


def test_a_layout_is_good_for_the_registry_and_has_every_medium() -> None:
    rows, problems = read_rows(list(LAYOUT.records()))
    assert problems == []
    assert len({row.meter_serial for row in rows}) == len({row.installation_id for row in rows}) == 36
    assert {row.medium for row in rows} == set(Medium)
    assert {row.gateway_id for row in rows} == {"FLEET-0001", "FLEET-0002", "FLEET-0003"}


def test_gateway_ids_of_the_longest_tenant_fit_a_routing_key() -> None:
    rows, problems = read_rows(list(Layout("t" * LONGEST_TENANT, gateways=1, meters=1, seed=1).records()))
    assert problems == []
    assert len(rows) == 1


def test_every_meter_is_installed_a_year_before_the_longest_history() -> None:
    begin = NOW - LONGEST_HISTORY_DAYS * DAY_S
    plates = Layout("fleet", gateways=1, meters=INSTALLED_WITHIN_DAYS, seed=1).plates()["FLEET-0001"]
    assert max(plate.installed_at for plate in plates) < begin - 365 * DAY_S
