"""A soak of the rules: the state machine for as many steps as asked.

    python -m tests.services.alerts.machine --steps 100000 --seed 7

Exit code 0 when alerts said at every step what the model says; else the shortest way to the difference is printed.
"""

import argparse
import secrets
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from typing_extensions import override

from tests.services.alerts.machine.machine import Machine

STEPS_OF_A_RUN = 100
RUNS_AT_ONCE = 200


class Counted(Machine):
    """Counts its steps, and what came of them."""

    steps = 0
    opened = 0

    @invariant()
    def count(self) -> None:
        Counted.steps += 1

    @override
    def teardown(self) -> None:
        super().teardown()
        Counted.steps -= 1  # the look before the first
        Counted.opened += sum(len(report.alerts) for report in self.alerts.reports().values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    began = time.monotonic()
    chosen = settings(
        max_examples=RUNS_AT_ONCE,
        stateful_step_count=STEPS_OF_A_RUN,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    number = asked.seed
    while Counted.steps < asked.steps:
        run_state_machine_as_test(seed(number)(Counted), settings=chosen)
        number += 1
        print(f"{time.monotonic() - began:7.1f} s  {Counted.steps:,} steps, {Counted.opened:,} alerts", flush=True)
    print("alerts said what the model says, at every step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
