"""From what a file says and what is registered to what has to change, or to everything that is wrong."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from shared.registry.agreement import disagreements
from shared.registry.changes import Plan
from shared.registry.dates import date_row, impossible_times
from shared.registry.matching import Target, match
from shared.registry.plan_places import plan_places
from shared.registry.problems import Problem
from shared.registry.registered import Registered
from shared.registry.rows import Row
from shared.registry.succession import link


def make_plan(
    rows: Sequence[Row], registered: Registered, *, now: datetime, new_id: Callable[[], UUID]
) -> tuple[Plan, list[Problem]]:
    """The changes that make the registry as `rows` say. With problems the plan is not to be carried out."""
    plan = Plan()
    problems = disagreements(rows)
    places, wrong = plan_places(rows, registered, plan, new_id=new_id)
    problems += wrong
    dated = [date_row(row, places.tenants[row.tenant].time_zone) for row in rows]
    for row in dated:
        problems += impossible_times(row, now=now)
    targets, wrong = match(dated, registered, places, new_id=new_id)
    problems += wrong
    problems += link(targets)
    _compare(targets, plan)
    return plan, problems


def _compare(targets: Sequence[Target], plan: Plan) -> None:
    """Sort the installations into new, changed and unchanged ones; one that no row speaks of may have ended."""
    changes = plan.installations
    for target in targets:
        if target.known is None:
            changes.created.append(target.installation)
        elif target.installation != target.known.installation:
            changes.updated.append(target.installation)
        elif target.row is not None:
            changes.unchanged.append(target.installation.id)
