"""Which limit of silence holds for an installation: that of its most specific policy, whole, else its tenant's."""

from datetime import time, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Row, Select, func, literal_column, select, true

from services.alerts.queries.compiled import NamedRecord
from services.alerts.rules.limits import Limit
from services.alerts.rules.quiet import QuietTimes
from shared.logs import get_logger
from shared.models import MeterInstallation, Policy, Tenant, Unit

POLICIES = Policy.__table__

ONE: ColumnElement[int] = literal_column("1")
"""Written into the statement, so that the planner knows it."""

log = get_logger(__name__)


def limited(statement: Select[*tuple[Any, ...]], policies: FromClause = POLICIES) -> Select[*tuple[Any, ...]]:
    """`statement`, which has `MeterInstallation`, `Unit` and `Tenant`, with the columns that `limit_of` reads.

    Also `policy_id`: the one that holds, None for the tenant's limit. Other `policies` than there are, such as a common
    table expression of the same columns, show what a change of them would make.
    """
    # The limit keeps it a look at one row for each installation: a join is planned as all policies, read for a batch.
    chosen = select(policies).where(policies.c.id == most_specific(policies)).limit(ONE).lateral("chosen")
    return statement.outerjoin(chosen, true()).add_columns(
        chosen.c.id.label("policy_id"),
        func.coalesce(chosen.c.stale_after, Tenant.stale_after).label("limit_stale_after"),
        chosen.c.quiet_weekdays.label("limit_quiet_weekdays"),
        chosen.c.quiet_from.label("limit_quiet_from"),
        chosen.c.quiet_until.label("limit_quiet_until"),
        func.coalesce(chosen.c.time_zone, Tenant.time_zone).label("limit_time_zone"),
        func.coalesce(chosen.c.grace, timedelta(0)).label("limit_grace"),
    )


def limit_of(row: Row[Any] | NamedRecord) -> Limit:
    """The limit in a row of a `limited` statement; without its quiet times where these cannot be."""
    quiet = None
    if row.limit_quiet_weekdays or row.limit_quiet_from is not None:
        hours = None if row.limit_quiet_from is None else (row.limit_quiet_from, row.limit_quiet_until)
        quiet = _quiet_times(frozenset(row.limit_quiet_weekdays), hours, row.limit_time_zone)
    return Limit(stale_after=row.limit_stale_after, quiet=quiet, grace=row.limit_grace)


@lru_cache(maxsize=4096)
def _quiet_times(weekdays: frozenset[int], hours: tuple[time, time] | None, time_zone: str) -> QuietTimes | None:
    """The quiet times; None, with one line in the log, where they cannot be: one bad row must not stop all judgement.

    The HTTP API refuses such rows, but a time zone may be unknown to this machine alone, and SQL writes what it likes.
    """
    try:
        return QuietTimes(weekdays=weekdays, hours=hours, time_zone=time_zone)
    except ValueError as error:
        log.error("quiet_times_ignored", error=str(error))  # noqa: TRY400 - the data's fault, no traceback helps
        return None


def most_specific(policies: FromClause) -> ColumnElement[UUID | None]:
    """The id of the one that holds. Each place to look is one row of a unique index, the next only where it has none.

    For a statement that has `MeterInstallation` and `Unit`.
    """
    policy = policies.alias("policy_of_target")

    def of(*conditions: ColumnElement[bool]) -> ColumnElement[UUID | None]:
        return select(policy.c.id).where(*conditions).correlate(MeterInstallation, Unit).scalar_subquery()

    of_tenant = policy.c.tenant_id == MeterInstallation.tenant_id
    return func.coalesce(
        of(policy.c.installation_id == MeterInstallation.id),
        of(policy.c.property_id == Unit.property_id),
        of(of_tenant, policy.c.medium == MeterInstallation.medium),
        of(
            of_tenant,
            policy.c.installation_id.is_(None),
            policy.c.property_id.is_(None),
            policy.c.medium.is_(None),
        ),
    )
