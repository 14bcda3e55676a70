"""What is looked at in a policy that somebody wants, beyond what each field says of itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from services.alerts.queries.policy_fields import LONGEST, REMIND_LONGEST, REMIND_SHORTEST, PolicyBody
from services.alerts.rules.quiet import QuietTimes
from shared.http.problems import BadFieldsError, FieldError
from shared.time_zones import NO_ZONE, is_time_zone


def checked(wanted: PolicyBody, within: str = "") -> PolicyBody:
    """`wanted`, its weekdays in order and each once; raises `BadFieldsError` that names what cannot be.

    `within` is the way to the policy in the body.
    """
    errors = [FieldError("body", f"{within}{field}", detail) for field, detail in _errors(wanted)]
    if errors:
        raise BadFieldsError(errors)
    return replace(wanted, quiet_weekdays=sorted(set(wanted.quiet_weekdays)))


def _errors(wanted: PolicyBody) -> Iterator[tuple[str, str]]:
    targets = [name for name in ("installation_id", "property_id", "medium") if getattr(wanted, name) is not None]
    if len(targets) > 1:
        yield targets[1], f"a policy is of one thing, and {targets[0]} is given too"
    if not timedelta(0) < wanted.stale_after <= LONGEST:
        yield "stale_after", f"must be longer than nothing, and at most P{LONGEST.days}D"
    if wanted.grace > LONGEST:
        yield "grace", f"must be at most P{LONGEST.days}D"
    if wanted.remind_every is not None and not REMIND_SHORTEST <= wanted.remind_every <= REMIND_LONGEST:
        yield "remind_every", f"must be at least PT1H, and at most P{REMIND_LONGEST.days}D"
    if wanted.time_zone is not None and not is_time_zone(wanted.time_zone):
        yield "time_zone", NO_ZONE
    yield from _quiet_errors(wanted)


def _quiet_errors(wanted: PolicyBody) -> Iterator[tuple[str, str]]:
    if wanted.quiet_from is None or wanted.quiet_until is None:
        if wanted.quiet_from is not wanted.quiet_until:
            missing, given = ("from", "until") if wanted.quiet_from is None else ("until", "from")
            yield f"quiet_{missing}", f"is missing beside quiet_{given}"
        return
    try:
        # In any zone: here it is about the hours alone.
        QuietTimes(frozenset(wanted.quiet_weekdays), (wanted.quiet_from, wanted.quiet_until), "UTC")
    except ValueError as error:
        yield "quiet_until", str(error)
