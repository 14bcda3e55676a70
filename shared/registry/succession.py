"""Which installation follows which: replacements, the ends that they bring, and what cannot be at the same time."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from shared.registry.matching import Target
from shared.registry.problems import Problem
from shared.registry.rows import Row

OfMeter = dict[tuple[UUID, str], list[Target]]


def link(targets: Sequence[Target]) -> list[Problem]:
    """Tie each replacement to what it replaces, which ends with it; returns what is wrong with them."""
    of_meter = _by_meter(targets)
    replaced: dict[UUID, Row] = {}
    problems = []
    for target in targets:
        row = target.row
        if row is None or row.replaces_serial is None:
            continue
        old = _predecessor(target, of_meter.get((target.installation.tenant_id, row.replaces_serial), []))
        if old is None:
            reason = "no such meter of this tenant was installed before this one"
        elif old.installation.id in replaced:
            reason = f"{replaced[old.installation.id].place} replaces it too"
        elif _is_replaced_by_another(old, target):
            reason = "is replaced by another installation already"
        else:
            replaced[old.installation.id] = row
            target.installation.replaces_id = old.installation.id
            if old.installation.deleted_at is None:
                old.installation.deleted_at = target.installation.installed_at
            continue
        problems.append(Problem(row.place, "replaces_serial", row.replaces_serial, reason))
    return problems + _overlaps(of_meter) + _ends_taken_back(targets, set(replaced))


def _by_meter(targets: Sequence[Target]) -> OfMeter:
    of_meter: OfMeter = defaultdict(list)
    for target in targets:
        of_meter[target.installation.tenant_id, target.installation.meter_serial].append(target)
    return of_meter


def _predecessor(target: Target, candidates: Sequence[Target]) -> Target | None:
    """The newest of the candidates that was installed before the target."""
    begin = target.installation.installed_at
    before = [other for other in candidates if other is not target and other.installation.installed_at < begin]
    return max(before, key=lambda other: other.installation.installed_at, default=None)


def _is_replaced_by_another(old: Target, target: Target) -> bool:
    if old.known is None or not old.known.is_replaced:
        return False
    return target.known is None or target.known.installation.replaces_id != old.installation.id


def _overlaps(of_meter: OfMeter) -> list[Problem]:
    """A meter is in one place at a time."""
    problems = []
    for (_, serial), installations in of_meter.items():
        if len(installations) == 1:
            continue
        installations.sort(key=lambda target: target.installation.installed_at)
        for earlier, later in pairwise(installations):
            row = later.row or earlier.row
            end = earlier.installation.deleted_at
            if row is None or (end is not None and end <= later.installation.installed_at):
                continue
            other = earlier if row is later.row else later
            since = f"{other.installation.installed_at:%Y-%m-%d %H:%M} UTC"
            until = (
                "" if other.installation.deleted_at is None else f" to {other.installation.deleted_at:%Y-%m-%d %H:%M}"
            )
            reason = (
                f"is installed in {other.where} from {since}{until}; a meter that was moved needs"
                f" replaces_serial {serial}, one that was taken out its deleted_at"
            )
            problems.append(Problem(row.place, "meter_serial", serial, reason))
    return problems


def _ends_taken_back(targets: Sequence[Target], replaced: set[UUID]) -> list[Problem]:
    """A row that says "no end" of an installation that has ended, and not by being replaced."""
    problems = []
    for target in targets:
        row, known, end = target.row, target.known, target.installation.deleted_at
        if row is None or known is None or known.installation.deleted_at is None or end is None:
            continue
        says_no_end = "deleted_at" in row.said and row.deleted_at is None
        if says_no_end and not known.is_replaced and target.installation.id not in replaced:
            reason = f"it ended at {end:%Y-%m-%d %H:%M} UTC; a meter that is mounted again is a new installation"
            problems.append(Problem(row.place, "deleted_at", None, reason))
    return problems
