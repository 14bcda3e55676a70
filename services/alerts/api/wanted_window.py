"""What is looked at in a maintenance window that somebody wants, beyond what each field says of itself."""

from collections.abc import Iterator
from dataclasses import replace

from services.alerts.queries.window_fields import MaintenanceWindowBody
from shared.http.problems import BadFieldsError, FieldError
from shared.time_zones import NO_ZONE, is_time_zone

TARGETS = ("installation_id", "property_id", "gateway_id")
OF_RECURRING = ("from_time", "until_time", "valid_from", "valid_until", "time_zone")


def checked(wanted: MaintenanceWindowBody) -> MaintenanceWindowBody:
    """`wanted`, its weekdays in order and each once; raises `BadFieldsError` that names what cannot be."""
    errors = [FieldError("body", field, detail) for field, detail in _errors(wanted)]
    if errors:
        raise BadFieldsError(errors)
    return replace(wanted, weekdays=sorted(set(wanted.weekdays)))


def _errors(wanted: MaintenanceWindowBody) -> Iterator[tuple[str, str]]:
    targets = [name for name in TARGETS if getattr(wanted, name) is not None]
    if len(targets) > 1:
        yield targets[1], f"a window is of one thing, and {targets[0]} is given too"
    if wanted.starts_at is not None or wanted.ends_at is not None:
        yield from _errors_of_once(wanted)
    elif not wanted.weekdays:
        yield "starts_at", "is missing: give it with ends_at, or weekdays for a window that recurs"
    else:
        yield from _errors_of_recurring(wanted)


def _errors_of_once(wanted: MaintenanceWindowBody) -> Iterator[tuple[str, str]]:
    if wanted.starts_at is None:
        yield "starts_at", "is missing beside ends_at"
    elif wanted.ends_at is None:
        yield "ends_at", "is missing beside starts_at"
    elif wanted.starts_at >= wanted.ends_at:
        yield "ends_at", "must be later than starts_at"
    for name in ("weekdays", *OF_RECURRING):
        if getattr(wanted, name) not in (None, []):
            yield name, "is of a window that recurs, which has no starts_at and ends_at"


def _errors_of_recurring(wanted: MaintenanceWindowBody) -> Iterator[tuple[str, str]]:
    if (wanted.from_time is None) is not (wanted.until_time is None):
        missing, given = ("from", "until") if wanted.from_time is None else ("until", "from")
        yield f"{missing}_time", f"is missing beside {given}_time"
    elif wanted.from_time is not None and wanted.from_time == wanted.until_time:
        yield "until_time", "must be another than from_time; for all day leave out both"
    if wanted.valid_from is not None and wanted.valid_until is not None and wanted.valid_from > wanted.valid_until:
        yield "valid_until", "must not be before valid_from"
    if wanted.time_zone is not None and not is_time_zone(wanted.time_zone):
        yield "time_zone", NO_ZONE
