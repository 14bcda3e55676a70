"""Rounds: a leader that resigns says so, sessions tell their consumer, and what operators were told stays known.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE pipeline ADD COLUMN resigned boolean NOT NULL DEFAULT false,"
        " ADD COLUMN cause text, ADD COLUMN degraded_cause text, ADD COLUMN degraded_reason text"
    )
    # Of what holds judgement now only the words are known. Alerts is away just now, whatever else there was.
    op.execute("UPDATE pipeline SET cause = 'absent' WHERE reason IS NOT NULL")
    op.execute(
        "UPDATE pipeline SET degraded_cause = 'absent', degraded_reason = reason WHERE degraded_since IS NOT NULL"
    )
    op.execute(
        "ALTER TABLE pipeline"
        " ADD CONSTRAINT ck_pipeline_held_for_a_cause CHECK ((reason IS NULL) = (cause IS NULL)),"
        " ADD CONSTRAINT ck_pipeline_degraded_for_a_reason"
        " CHECK (num_nulls(degraded_since, degraded_cause, degraded_reason) IN (0, 3))"
    )
    op.execute("ALTER TABLE ingest_session ADD COLUMN consumer bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE ingest_session DROP COLUMN consumer")
    op.execute(
        "ALTER TABLE pipeline DROP COLUMN resigned, DROP COLUMN cause, DROP COLUMN degraded_cause,"
        " DROP COLUMN degraded_reason"
    )
