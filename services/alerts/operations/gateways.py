"""Judges the gateways: which fell silent, and which are back; one transaction a batch, shared by all replicas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import DateTime, Text, Uuid

from services.alerts.operations.gateway_transitions import GatewayTransition, write
from services.alerts.queries.gateways import (
    GatewaySubject,
    lock_due,
    lock_silent,
    perhaps_back,
)
from services.alerts.rules.gateways import on_the_clock
from services.alerts.rules.staleness import judged_afresh_from
from shared.models import GatewayState

MOMENT = DateTime(timezone=True)

AT_MOST = 500
"""Gateways judged in one transaction; a sweep repeats until fewer are due."""

# Those that are to be heard by one of the gateways, or were last. Not those that were reported already.
LOCK_INSTALLATIONS = text(
    """
    SELECT status.installation_id, status.last_gateway_id, installation.gateway_id AS expected_gateway_id,
           status.judged_from, coalesce(status.last_reading_at, installation.installed_at) AS last_heard_at
    FROM installation_status AS status
    JOIN meter_installation AS installation ON installation.id = status.installation_id
    WHERE status.alert_id IS NULL AND status.installation_id IN (
        SELECT id FROM meter_installation WHERE gateway_id = ANY (:gateway_ids)
        UNION ALL
        SELECT installation_id FROM installation_status
        WHERE last_gateway_id IN (SELECT unnest(:gateway_ids))
          AND tenant_id IN (SELECT tenant_id FROM gateway WHERE id = ANY (:gateway_ids)))
    ORDER BY status.installation_id FOR UPDATE OF status
    """
).bindparams(bindparam("gateway_ids", type_=ARRAY(Text())))

JUDGE_AFRESH = text(
    """
    UPDATE installation_status AS status
    SET judged_from = afresh.judged_from, due_at = least(status.due_at, :until)
    FROM unnest(:ids, :judged_from) AS afresh (id, judged_from)
    WHERE status.installation_id = afresh.id
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("judged_from", type_=ARRAY(MOMENT)),
    bindparam("until", type_=MOMENT),
)


@dataclass(frozen=True)
class GatewaysSwept:
    """What a sweep of gateways found: how many fell silent, and how many are back."""

    silent: int = 0
    back: int = 0

    def __add__(self, other: "GatewaysSwept") -> "GatewaysSwept":
        """Both together."""
        return GatewaysSwept(self.silent + other.silent, self.back + other.back)


async def sweep_gateways(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    """Judge every gateway that is due by `until`, and every silent one that was heard again.

    When one is back, or gone, the installations that could not be heard without it are judged afresh
    (`judged_afresh_from`).
    """
    return await _fall_silent(engine, until, now) + await _come_back(engine, until, now)


async def _fall_silent(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    swept = GatewaysSwept()
    while True:
        async with engine.begin() as connection:
            subjects = await lock_due(connection, until, at_most=AT_MOST)
            swept += _counted(await _judge(connection, subjects, until, now))
        if len(subjects) < AT_MOST:
            return swept


async def _come_back(engine: AsyncEngine, until: datetime, now: datetime) -> GatewaysSwept:
    """Installations are locked before gateways, as by what changes a policy: who has a gateway waits for nothing."""
    swept, after = GatewaysSwept(), ""
    while True:
        async with engine.begin() as connection:
            found = await perhaps_back(connection, until, after=after, at_most=AT_MOST)
            back = {one.gateway_id for one in found if on_the_clock(one.silence, until).is_heard}
            installations = await _lock_installations(connection, sorted(back))
            silent = await lock_silent(connection, [one.gateway_id for one in found], until)
            # One that was heard in between has its turn next time: its installations are not locked.
            known = [one for one in silent if one.gateway_id in back or not on_the_clock(one.silence, until).is_heard]
            transitions = await _judge(connection, known, until, now)
            heard = [one.subject for one in transitions if one.verdict.is_heard]
            silent_from = {one.gateway_id: one.state_since for one in heard}
            await _judge_afresh(connection, installations, silent_from, until)
        swept += _counted(transitions)
        if len(found) < AT_MOST:
            return swept
        after = max(one.gateway_id for one in found)


async def _lock_installations(connection: AsyncConnection, gateway_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The unreported installations of the gateways."""
    if not gateway_ids:
        return []
    return (await connection.execute(LOCK_INSTALLATIONS, {"gateway_ids": gateway_ids})).all()


async def _judge_afresh(
    connection: AsyncConnection, installations: Sequence[Row[Any]], silent_from: Mapping[str, datetime], until: datetime
) -> None:
    """Judge those afresh that can be heard by one of the gateways that are back, each silent from then."""
    judged_from = {
        row.installation_id: judged_afresh_from(row.judged_from, row.last_heard_at, back=back, until=until)
        for row in installations
        if (back := [silent_from[one] for one in {row.expected_gateway_id, row.last_gateway_id} & silent_from.keys()])
    }
    if judged_from:
        await connection.execute(
            JUDGE_AFRESH,
            {"ids": list(judged_from), "judged_from": list(judged_from.values()), "until": until},
        )


async def _judge(
    connection: AsyncConnection, subjects: Sequence[GatewaySubject], until: datetime, now: datetime
) -> list[GatewayTransition]:
    """Judge gateways that are locked, and write down what became of them."""
    transitions = [GatewayTransition(one, on_the_clock(one.silence, until), until) for one in subjects]
    await write(connection, transitions, now)
    return transitions


def _counted(transitions: Sequence[GatewayTransition]) -> GatewaysSwept:
    changed = [one.verdict.state for one in transitions if one.changes_state]
    return GatewaysSwept(silent=changed.count(GatewayState.SILENT), back=changed.count(GatewayState.HEARD))
