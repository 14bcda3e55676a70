"""What the database itself holds: installations stay, have a status, and no reading's value changes without a trace.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `reading` has no foreign key, so nothing else would stop the removal of an installation that has readings.
    op.execute(
        """
        CREATE FUNCTION meter_installation_is_permanent() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a meter installation is never removed or moved to another tenant'
                USING ERRCODE = 'restrict_violation', HINT = 'Set deleted_at instead.';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER meter_installation_no_delete BEFORE DELETE ON meter_installation"
        " FOR EACH ROW EXECUTE FUNCTION meter_installation_is_permanent()"
    )
    op.execute(
        "CREATE TRIGGER meter_installation_no_truncate BEFORE TRUNCATE ON meter_installation"
        " FOR EACH STATEMENT EXECUTE FUNCTION meter_installation_is_permanent()"
    )
    op.execute(
        "CREATE TRIGGER meter_installation_no_move BEFORE UPDATE OF id, tenant_id ON meter_installation"
        " FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id)"
        " EXECUTE FUNCTION meter_installation_is_permanent()"
    )
    # Due at once: alerts looks at it and works out when it really falls due.
    op.execute(
        """
        CREATE FUNCTION meter_installation_has_status() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.installation_status (installation_id, tenant_id, due_at)
            SELECT id, tenant_id, installed_at FROM registered;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER meter_installation_has_status AFTER INSERT ON meter_installation"
        " REFERENCING NEW TABLE AS registered FOR EACH STATEMENT EXECUTE FUNCTION meter_installation_has_status()"
    )
    # And again when what decides on that moment changes. A stale one only a reading can change.
    op.execute(
        """
        CREATE FUNCTION meter_installation_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.installation_status SET due_at = now()
            WHERE installation_id = NEW.id AND state <> 'stale';
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION tenant_is_due_again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.installation_status SET due_at = now() WHERE tenant_id = NEW.id AND state <> 'stale';
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER tenant_changes_limit AFTER UPDATE OF stale_after ON tenant FOR EACH ROW"
        " WHEN (OLD.stale_after <> NEW.stale_after) EXECUTE FUNCTION tenant_is_due_again()"
    )
    op.execute(
        "CREATE TRIGGER meter_installation_changes_dates AFTER UPDATE OF installed_at, deleted_at ON meter_installation"
        " FOR EACH ROW WHEN (OLD.installed_at <> NEW.installed_at OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)"
        " EXECUTE FUNCTION meter_installation_is_due_again()"
    )
    op.execute(
        """
        CREATE FUNCTION reading_keep_old_value() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.reading_correction
                (meter_installation_id, timestamp, old_value, new_value, old_received_at, new_received_at)
            VALUES (OLD.meter_installation_id, OLD.timestamp, OLD.value, NEW.value, OLD.received_at, NEW.received_at);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER reading_keep_old_value AFTER UPDATE ON reading FOR EACH ROW"
        " WHEN (OLD.value IS DISTINCT FROM NEW.value) EXECUTE FUNCTION reading_keep_old_value()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER reading_keep_old_value ON reading")
    op.execute("DROP FUNCTION reading_keep_old_value()")
    op.execute("DROP TRIGGER tenant_changes_limit ON tenant")
    for what in ("no_delete", "no_truncate", "no_move", "has_status", "changes_dates"):
        op.execute(f"DROP TRIGGER meter_installation_{what} ON meter_installation")
    op.execute("DROP FUNCTION tenant_is_due_again()")
    op.execute("DROP FUNCTION meter_installation_is_due_again()")
    op.execute("DROP FUNCTION meter_installation_has_status()")
    op.execute("DROP FUNCTION meter_installation_is_permanent()")
