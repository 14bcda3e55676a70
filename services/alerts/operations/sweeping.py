"""Judges the installations that are due: one transaction a batch, shared by all replicas."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerts.operations.reporting import OPENED
from services.alerts.operations.transitions import Transition, fresh_since, write
from services.alerts.queries.gateways import states_of, together
from services.alerts.queries.stored import newest_after
from services.alerts.queries.subjects import Subject, lock_due
from services.alerts.rules.staleness import Gateways, Silence, Verdict, on_a_reading, on_the_clock
from shared.models import InstallationState

FRESH = InstallationState.FRESH

AT_MOST = 500
"""Installations judged in one transaction; a sweep repeats until fewer are due."""


@dataclass(frozen=True)
class Swept:
    """What a sweep found: how many it looked at, turned stale or back, and opened alerts for, with or without event."""

    judged: int = 0
    stale: int = 0
    fresh: int = 0
    alerts: int = 0
    unfinished: bool = False
    """Whether more may be due."""

    def __add__(self, other: "Swept") -> "Swept":
        """Both together."""
        return Swept(
            self.judged + other.judged, self.stale + other.stale, self.fresh + other.fresh, self.alerts + other.alerts
        )


async def sweep(engine: AsyncEngine, until: datetime, now: datetime, *, batches: int | None = None) -> Swept:
    """Judge every installation that is due by `until`, as of then; what is written carries the time `now`.

    All that the broker accepted before `until` must be stored. The cost grows with what is due, not with what exists:
    the due ones are found by an index. Sweep the gateways first.

    With `batches`, no more than so many. Every other one takes what fell due last, so that a silence does not wait
    behind all that a change of rules has made due: a hundred thousand, in a large tenant.
    """
    swept = Swept()
    for number in itertools.count(1):
        async with engine.begin() as connection:
            subjects = await lock_due(connection, until, at_most=AT_MOST, latest_first=number % 2 == 0)
            transitions = await _judged(connection, subjects, until)
            await write(connection, transitions, now)
        swept += _counted(transitions)
        if len(subjects) < AT_MOST:
            break
        if number == batches:
            return replace(swept, unfinished=True)
    return swept


async def _judged(connection: AsyncConnection, subjects: Sequence[Subject], until: datetime) -> list[Transition]:
    """What becomes of the due; those that look silent by what is stored, since events may be late, or lost."""
    silent = [one for one in subjects if one.silence.due_at <= until and not one.silence.is_removed(until)]
    stored = await newest_after(connection, {one.installation_id: one.silence.last_reading_at for one in silent})
    states = await states_of(connection, {gateway for one in silent for gateway in one.gateway_ids}, until)
    judged: list[tuple[Subject, Verdict]] = []
    for subject in subjects:
        gateways = together(subject.gateway_ids, states)
        reading = stored.get(subject.installation_id)
        if reading is None:
            judged.append((subject, on_the_clock(subject.silence, until, gateways)))
        else:
            read = subject.having_read(reading)
            judged.append((read, _on_the_clock_and_a_reading(read.silence, until, gateways)))
    heard = [subject for subject, verdict in judged if verdict.state is FRESH and subject.installation_id in stored]
    since = await fresh_since(connection, heard)
    return [
        Transition(subject, verdict, since=since.get(subject.installation_id) or _since(subject, verdict, until))
        for subject, verdict in judged
    ]


def _on_the_clock_and_a_reading(silence: Silence, until: datetime, gateways: Gateways) -> Verdict:
    """What becomes of one whose newest reading, already in `silence`, no event has told of yet."""
    if silence.state is not FRESH:
        heard = on_a_reading(silence, until)
        if heard.due_at is not None and heard.due_at > until:
            return heard
        silence = replace(silence, state=heard.state)
    return on_the_clock(silence, until, gateways)


def _since(subject: Subject, verdict: Verdict, until: datetime) -> datetime:
    """When it fell stale; what a change of rules made of it, it is from now on."""
    return subject.silence.due_at if verdict.state is InstallationState.STALE else until


def _counted(transitions: Sequence[Transition]) -> Swept:
    changed = [one.verdict.state for one in transitions if one.changes_state]
    return Swept(
        judged=len(transitions),
        stale=changed.count(InstallationState.STALE),
        fresh=changed.count(FRESH),
        alerts=sum(one.verdict.alert in OPENED for one in transitions),
    )
