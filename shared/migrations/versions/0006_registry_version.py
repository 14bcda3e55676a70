"""A version of the registry, other after every change of a gateway or an installation: what is remembered has an age.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("gateway", "meter_installation")


def upgrade() -> None:
    op.execute(
        "CREATE TABLE registry_version ("
        " singleton boolean DEFAULT true NOT NULL CONSTRAINT pk_registry_version PRIMARY KEY,"
        " version uuid DEFAULT gen_random_uuid() NOT NULL,"
        " CONSTRAINT ck_registry_version_one_row CHECK (singleton))"
    )
    op.execute("INSERT INTO registry_version DEFAULT VALUES")
    # At the end of the transaction, so that the one row is locked last and for a moment only. Not a counter: a server
    # that comes back from a backup must not give out a version again for something else.
    op.execute(
        """
        CREATE FUNCTION registry_has_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            this_transaction text := pg_current_xact_id()::text;
        BEGIN
            IF current_setting('mbus.registry_changed_by', true) IS DISTINCT FROM this_transaction THEN
                UPDATE public.registry_version SET version = gen_random_uuid();
                PERFORM set_config('mbus.registry_changed_by', this_transaction, true);
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for table in TABLES:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER registry_has_changed AFTER INSERT OR UPDATE OR DELETE ON {table}"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION registry_has_changed()"
        )
    op.execute("GRANT SELECT ON registry_version TO mbus_ingest")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TRIGGER registry_has_changed ON {table}")
    op.execute("DROP FUNCTION registry_has_changed()")
    op.execute("DROP TABLE registry_version")
