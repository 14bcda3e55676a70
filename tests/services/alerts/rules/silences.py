"""Installations and gateways as the rules see them, by how long ago things happened to them."""

from datetime import UTC, datetime, timedelta

from services.alerts.rules.gateways import GatewaySilence
from services.alerts.rules.limits import Limit
from services.alerts.rules.staleness import Silence
from shared.models import GatewayState, InstallationState

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
LIMIT = 48 * HOUR
LONG_AGO = timedelta(days=400)


def silence(
    state: InstallationState = InstallationState.FRESH,
    *,
    since: timedelta = LONG_AGO,
    heard: timedelta | None = None,
    installed: timedelta = LONG_AGO,
    registered: timedelta = LONG_AGO,
    deleted: timedelta | None = None,
    judged_from: timedelta | None = None,
    rules_changed: timedelta | None = None,
    alerted: bool = False,
    limit: Limit | None = None,
) -> Silence:
    """An installation with a limit of two days."""
    return Silence(
        state=state,
        state_since=NOW - since,
        installed_at=NOW - installed,
        registered_at=NOW - registered,
        deleted_at=_ago(deleted),
        last_reading_at=_ago(heard),
        judged_from=_ago(judged_from),
        rules_changed_at=_ago(rules_changed),
        alerted=alerted,
        limit=limit or Limit(LIMIT),
    )


def gateway(
    state: GatewayState = GatewayState.HEARD,
    *,
    heard: timedelta | None = None,
    since: timedelta = LONG_AGO,
    registered: timedelta = LONG_AGO,
    deleted: timedelta | None = None,
    rules_changed: timedelta | None = None,
    silent_after: timedelta | None = None,
    limits: frozenset[Limit] = frozenset({Limit(LIMIT)}),
) -> GatewaySilence:
    """A gateway of installations with a limit of two days; an alert is open while it is silent."""
    return GatewaySilence(
        state=state,
        state_since=NOW - since,
        registered_at=NOW - registered,
        heard_at=_ago(heard),
        deleted_at=_ago(deleted),
        silent_after=silent_after,
        limits=limits,
        rules_changed_at=_ago(rules_changed),
        alerted=state is GatewayState.SILENT,
    )


def _ago(passed: timedelta | None) -> datetime | None:
    return None if passed is None else NOW - passed
