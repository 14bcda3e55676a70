"""Alerts against a naive model, over any order of events, clocks, rules and crashes."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from shared.database import open_engine
from tests.services.alerts.machine.facts import Facts
from tests.services.alerts.machine.in_database import InDatabase
from tests.services.alerts.machine.machine import Machine
from tests.support.databases import Database


def test_the_rules_say_what_the_model_says() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=60, deadline=None))


@pytest.mark.timeout(300)
def test_the_operations_say_what_the_model_says(database: Database) -> None:
    with asyncio.Runner() as runner:
        opened = open_engine(database.owner_url, application_name="mbus-tests")
        engine = runner.run(opened.__aenter__())

        class OnPostgres(Machine):
            @staticmethod
            @override
            def alerts_of(facts: Facts) -> InDatabase:
                return InDatabase(engine, runner, facts)

        try:
            chosen = settings(
                max_examples=15,
                stateful_step_count=40,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(OnPostgres, settings=chosen)
        finally:
            runner.run(opened.__aexit__(None, None, None))
