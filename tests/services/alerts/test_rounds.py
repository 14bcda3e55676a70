"""Who leads the rounds, and what holds judgement: with a real database and broker, and a stand-in for ingest."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Database
from tests.support.messages import eventually
from tests.support.services import running_alerts
from tests.support.vhosts import Vhost

PATIENCE_S = 60


async def pipeline(engine: AsyncEngine) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT *, clock_timestamp() AS now FROM pipeline"))).one()


async def becomes(engine: AsyncEngine, condition: str) -> None:
    """Wait until it is true of the pipeline."""

    async def is_so() -> bool:
        async with engine.connect() as connection:
            return bool((await connection.execute(text(f"SELECT {condition} FROM pipeline"))).scalar_one())

    await eventually(is_so, timeout_s=PATIENCE_S)


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def test_a_statement_that_fails_once_holds_nothing_and_one_that_fails_again_does(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(
        engine,
        "CREATE SEQUENCE writes",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$BEGIN IF nextval('writes') IN (8, 20, 21) THEN RAISE EXCEPTION 'too late' USING ERRCODE = '57014'; END IF;"
        " RETURN NEW; END$$",
        "CREATE TRIGGER fail BEFORE UPDATE ON pipeline FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    async with running_alerts(database, vhost):
        await becomes(engine, "(SELECT last_value FROM writes) >= 24 AND reason IS NULL")
    async with engine.connect() as connection:
        told = await connection.execute(text("SELECT event_type FROM delivery ORDER BY position"))
        assert list(told.scalars()) == ["pipeline.degraded", "pipeline.recovered"]


async def test_leaders_that_come_and_go_do_not_hide_that_nothing_is_proven(
    engine: AsyncEngine, database: Database, vhost: Vhost
) -> None:
    await execute(
        engine,
        "UPDATE pipeline SET looked_at = now() - interval '6 s', judged_until = now() - interval '31 s',"
        " healthy_since = now() - interval '1 h'",
    )
    async with running_alerts(database, vhost, ingest=False):
        await becomes(engine, "looked_at > now() - interval '5 s'")
        assert "not known to be stored" in (await pipeline(engine)).reason
