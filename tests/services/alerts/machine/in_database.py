"""Alerts as it is: its operations on PostgreSQL, where the registry is what people changed."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.operations.folding import fold
from services.alerts.operations.gateways import sweep_gateways
from services.alerts.operations.sweeping import sweep
from shared.messages.readings_stored import InstallationHeard, ReadingsStored
from shared.models import (
    Alert,
    Delivery,
    Gateway,
    GatewayHeard,
    GatewayStatus,
    InstallationStatus,
    MeterInstallation,
    Pipeline,
    Policy,
)
from shared.models import Reading as ReadingRow
from tests.services.alerts.machine.facts import INSTALLED_AT, START, Facts, Reading, Report
from tests.support.registry import add_meter, create_building


class InDatabase:
    """The operations of alerts, on rows of a tenant of its own. `runner` runs what waits for the database."""

    def __init__(self, engine: AsyncEngine, runner: asyncio.Runner, facts: Facts) -> None:
        self._engine = engine
        self._runner = runner
        self._facts = facts
        runner.run(self._register())

    def reports(self) -> dict[str, Report]:
        """What is to be seen."""
        return self._runner.run(self._reports())

    def looked_at(self, until: datetime) -> set[str]:
        """Whom a sweep would look at."""
        return self._runner.run(self._looked_at(until))

    def stored(self, gateway: str, readings: Sequence[Reading]) -> None:
        """What ingest writes."""
        self._runner.run(self._store(gateway, readings))

    def rules_changed(self, names: Sequence[str], judged_until: datetime) -> None:
        """Bring the registry to what it is by the facts."""
        self._runner.run(self._change(names, judged_until))

    def fold(self, readings: Sequence[Reading], now: datetime) -> None:
        """Hear of readings."""
        heard = [
            InstallationHeard(
                installation_id=self._ids[one.meter],
                gateway_id=self._gateways[one.gateway],
                timestamp=one.timestamp,
                value=one.received_at.timestamp(),
                rssi_dbm=None,
                battery_level_pct=None,
                count=1,
                received_at=one.received_at,
            )
            for one in readings
        ]
        told = ReadingsStored(tenant_id=self._tenant_id, gateways=[], installations=heard)
        self._runner.run(fold(self._engine, [told], now))

    def sweep_gateways(self, until: datetime) -> None:
        """Judge the gateways."""
        self._runner.run(sweep_gateways(self._engine, until, until))

    def sweep(self, until: datetime) -> None:
        """Judge the meters."""
        self._runner.run(sweep(self._engine, until, until))

    def leave(self) -> None:
        """Let nobody look at them any more."""
        self._runner.run(self._leave())

    async def _register(self) -> None:
        building = await create_building(self._engine, meters=0, installed_at=INSTALLED_AT)
        self._tenant_id = building.tenant_id
        other = await create_building(self._engine, meters=0, tenant_id=building.tenant_id)
        self._gateways = {"G1": building.gateway_id, "G2": other.gateway_id}
        self._ids = {
            name: await add_meter(self._engine, building, name, installed_at=INSTALLED_AT)
            for name in self._facts.meters
        }
        self._names: dict[UUID | str, str] = {id_: name for name, id_ in self._ids.items()}
        self._names |= {id_: name for name, id_ in self._gateways.items()}
        await self._change([*self._ids, *self._gateways], START)
        async with self._engine.begin() as connection:
            for status in (InstallationStatus, GatewayStatus):
                await connection.execute(
                    update(status)
                    .where(status.tenant_id == self._tenant_id)
                    .values(registered_at=START, state_since=START, rules_changed_at=None)
                )

    async def _store(self, gateway: str, readings: Sequence[Reading]) -> None:
        async with self._engine.begin() as connection:
            heard_at = self._facts.boxes[gateway].heard_at
            await connection.execute(
                upsert(GatewayHeard)
                .values(gateway_id=self._gateways[gateway], heard_at=heard_at)
                .on_conflict_do_update(index_elements=["gateway_id"], set_={"heard_at": heard_at})
            )
            for one in readings:
                received_at = self._facts.stored[one.meter, one.timestamp].received_at
                await connection.execute(
                    upsert(ReadingRow)
                    .values(
                        meter_installation_id=self._ids[one.meter],
                        timestamp=one.timestamp,
                        value=received_at.timestamp(),
                        received_at=received_at,
                    )
                    .on_conflict_do_update(
                        index_elements=["meter_installation_id", "timestamp"],
                        set_={"value": received_at.timestamp(), "received_at": received_at},
                    )
                )

    async def _change(self, names: Sequence[str], judged_until: datetime) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(update(Pipeline).values(judged_until=judged_until))
            for name in names:
                if name in self._gateways:
                    box = self._facts.boxes[name]
                    await connection.execute(
                        update(Gateway)
                        .where(Gateway.id == self._gateways[name])
                        .values(silent_after=box.silent_after, deleted_at=box.deleted_at)
                    )
                    continue
                meter = self._facts.meters[name]
                await connection.execute(
                    update(MeterInstallation)
                    .where(MeterInstallation.id == self._ids[name])
                    .values(gateway_id=meter.gateway and self._gateways[meter.gateway], deleted_at=meter.deleted_at)
                )
                await self._set_policy(connection, name)

    async def _set_policy(self, connection: Any, name: str) -> None:
        limit = self._facts.meters[name].limit
        hours = (limit.quiet and limit.quiet.hours) or (None, None)
        values = {
            "stale_after": limit.stale_after,
            "grace": limit.grace,
            "quiet_weekdays": sorted(limit.quiet.weekdays) if limit.quiet else [],
            "quiet_from": hours[0],
            "quiet_until": hours[1],
            "time_zone": limit.quiet and limit.quiet.time_zone,
        }
        of_it = Policy.installation_id == self._ids[name]
        known = (await connection.execute(select(*(getattr(Policy, one) for one in values)).where(of_it))).one_or_none()
        if known is None:
            await connection.execute(
                insert(Policy).values(tenant_id=self._tenant_id, installation_id=self._ids[name], **values)
            )
        elif known._asdict() != values:
            await connection.execute(update(Policy).where(of_it).values(**values))

    async def _looked_at(self, until: datetime) -> set[str]:
        async with self._engine.connect() as connection:
            found = await connection.execute(
                select(cast(InstallationStatus.installation_id, Text))
                .where(InstallationStatus.tenant_id == self._tenant_id, InstallationStatus.due_at <= until)
                .union_all(
                    select(GatewayStatus.gateway_id).where(
                        GatewayStatus.tenant_id == self._tenant_id, GatewayStatus.due_at <= until
                    )
                )
            )
            looked_at = set(found.scalars())
            return {name for id_, name in self._names.items() if str(id_) in looked_at}

    async def _reports(self) -> dict[str, Report]:
        async with self._engine.connect() as connection:
            meters = await connection.execute(
                select(
                    InstallationStatus.installation_id, InstallationStatus.state, InstallationStatus.last_reading_at
                ).where(InstallationStatus.tenant_id == self._tenant_id)
            )
            states = {self._names[row.installation_id]: (row.state, row.last_reading_at) for row in meters}
            gateways = await connection.execute(
                select(GatewayStatus.gateway_id, GatewayStatus.state).where(GatewayStatus.tenant_id == self._tenant_id)
            )
            states |= {self._names[row.gateway_id]: (row.state, None) for row in gateways}
            alerts = (
                await connection.execute(
                    select(Alert.installation_id, Alert.gateway_id, Alert.opened_because, Alert.closed_because)
                    .where(Alert.tenant_id == self._tenant_id)
                    .order_by(Alert.opened_at, Alert.closed_at.nulls_last())
                )
            ).all()
            events = (
                await connection.execute(
                    select(Alert.installation_id, Alert.gateway_id, Delivery.event_type)
                    .join(Alert, Alert.id == Delivery.alert_id)
                    .where(Delivery.tenant_id == self._tenant_id)
                    .order_by(Delivery.position)
                )
            ).all()
        alerts_of: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for alert in alerts:
            alerts_of[self._subject(alert)].append((alert.opened_because, alert.closed_because))
        events_of: dict[str, list[str]] = defaultdict(list)
        for event in events:
            events_of[self._subject(event)].append(event.event_type)
        return {
            name: Report(state, last, tuple(alerts_of[name]), tuple(events_of[name]))
            for name, (state, last) in states.items()
        }

    def _subject(self, row: Row[*tuple[Any, ...]]) -> str:
        return self._names[row.installation_id or row.gateway_id]

    async def _leave(self) -> None:
        async with self._engine.begin() as connection:
            for status in (InstallationStatus, GatewayStatus):
                await connection.execute(update(status).where(status.tenant_id == self._tenant_id).values(due_at=None))
            await connection.execute(
                update(GatewayStatus).where(GatewayStatus.tenant_id == self._tenant_id).values(state="heard")
            )
