"""Subscriptions by webhook and mail, and a delivery for each of them beside that of the exchange.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

API = "mbus_alerts_api"

TABLES = """
    CREATE TABLE subscription (
        id uuid DEFAULT gen_random_uuid() NOT NULL,
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        url text,
        mail_address text,
        language text,
        event_types text[] DEFAULT '{}'::text[] NOT NULL,
        property_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
        media text[] DEFAULT '{}'::text[] NOT NULL,
        enabled boolean DEFAULT true NOT NULL,
        disabled_at timestamptz,
        disabled_because text,
        failures integer DEFAULT 0 NOT NULL,
        failing_since timestamptz,
        held_until timestamptz,
        claimed_until timestamptz,
        created_at timestamptz DEFAULT now() NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        updated_by text,
        deleted_at timestamptz,
        CONSTRAINT pk_subscription PRIMARY KEY (id),
        CONSTRAINT fk_subscription_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenant (id),
        CONSTRAINT ck_subscription_one_way CHECK (num_nonnulls(url, mail_address) = 1),
        CONSTRAINT ck_subscription_mail_has_a_language CHECK ((mail_address IS NULL) = (language IS NULL)),
        CONSTRAINT ck_subscription_disabled_for_a_reason CHECK (
            enabled = (disabled_at IS NULL) AND enabled = (disabled_because IS NULL)),
        CONSTRAINT ck_subscription_disabled_because_is_known CHECK (
            disabled_because IN ('by_hand', 'unsubscribed', 'gone', 'failing'))
    ) WITH (fillfactor = 50);
    CREATE INDEX ix_subscription_tenant_id ON subscription (tenant_id, id) WHERE deleted_at IS NULL;

    CREATE TABLE subscription_secret (
        id uuid DEFAULT gen_random_uuid() NOT NULL,
        subscription_id uuid NOT NULL,
        secret text NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        expires_at timestamptz,
        CONSTRAINT pk_subscription_secret PRIMARY KEY (id),
        CONSTRAINT fk_subscription_secret_subscription_id FOREIGN KEY (subscription_id) REFERENCES subscription (id)
    );
    CREATE UNIQUE INDEX uq_subscription_secret_newest ON subscription_secret (subscription_id) WHERE expires_at IS NULL;
    CREATE INDEX ix_subscription_secret_subscription_id ON subscription_secret (subscription_id);

    ALTER TABLE delivery
        ADD COLUMN subscription_id uuid,
        ADD COLUMN digest_id uuid,
        ADD COLUMN held_by uuid,
        ADD COLUMN wanted_since timestamptz,
        ADD COLUMN last_attempt_at timestamptz,
        ADD COLUMN last_status smallint,
        ADD COLUMN last_error text,
        ADD COLUMN dropped_at timestamptz,
        ADD COLUMN dropped_because text,
        ADD CONSTRAINT fk_delivery_subscription_id FOREIGN KEY (subscription_id) REFERENCES subscription (id),
        DROP CONSTRAINT ck_delivery_of_a_tenant_or_of_operators,
        ADD CONSTRAINT ck_delivery_of_a_tenant_or_of_operators CHECK (
            CASE WHEN subscription_id IS NULL THEN (alert_id IS NULL) = (tenant_id IS NULL)
                 ELSE tenant_id IS NOT NULL AND wanted_since IS NOT NULL END),
        ADD CONSTRAINT ck_delivery_dropped_for_a_reason CHECK ((dropped_at IS NULL) = (dropped_because IS NULL)),
        ADD CONSTRAINT ck_delivery_dropped_because_is_known CHECK (
            dropped_because IN ('gave_up', 'disabled', 'maintenance', 'over')),
        ADD CONSTRAINT ck_delivery_one_end CHECK (delivered_at IS NULL OR dropped_at IS NULL);
    DROP INDEX ix_delivery_pending;
    CREATE INDEX ix_delivery_pending ON delivery (next_attempt_at)
        WHERE subscription_id IS NULL AND delivered_at IS NULL;
    CREATE INDEX ix_delivery_due ON delivery (subscription_id, next_attempt_at)
        WHERE subscription_id IS NOT NULL AND delivered_at IS NULL AND dropped_at IS NULL
            AND (digest_id IS NULL OR digest_id = id);
    CREATE INDEX ix_delivery_digest_id ON delivery (digest_id) WHERE digest_id IS NOT NULL;
    CREATE INDEX ix_delivery_held_by ON delivery (held_by) WHERE held_by IS NOT NULL;
    CREATE INDEX ix_delivery_dropped ON delivery (dropped_at) WHERE dropped_at IS NOT NULL;
    CREATE INDEX ix_delivery_log ON delivery (tenant_id, position) WHERE subscription_id IS NOT NULL;
    CREATE INDEX ix_delivery_subscription_id ON delivery (subscription_id, position) WHERE subscription_id IS NOT NULL
"""

TENANT = "(SELECT nullif(current_setting('mbus.tenant_id', true), '')::uuid)"
PROPERTIES = "(SELECT nullif(current_setting('mbus.property_ids', true), '')::uuid[])::uuid[]"

# What a token that is narrowed sees names properties, and only such as it is narrowed to.
OF_PROPERTIES = f"{PROPERTIES} IS NULL OR cardinality(property_ids) > 0 AND property_ids <@ {PROPERTIES}"
OF_SUBSCRIPTION = "EXISTS (SELECT FROM subscription s WHERE s.id = subscription_id)"

# The secret itself is written by the face, and read by who signs; what was sent of a delivery is not changed by it.
GRANTS = (
    "SELECT, UPDATE ON subscription TO mbus_alerts",
    "SELECT, DELETE ON subscription_secret TO mbus_alerts",
    f"SELECT, INSERT, UPDATE ON subscription TO {API}",
    f"INSERT (id, subscription_id, secret, created_at), UPDATE (expires_at), DELETE ON subscription_secret TO {API}",
    f"SELECT (id, subscription_id, created_at, expires_at) ON subscription_secret TO {API}",
    f"SELECT, INSERT ON delivery TO {API}",
    f"UPDATE (delivered_at, dropped_at, dropped_because, next_attempt_at, wanted_since, attempts) ON delivery TO {API}",
)


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for grant in GRANTS:
        op.execute(f"GRANT {grant}")
    for table in ("subscription", "subscription_secret"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_every_tenant ON {table} TO mbus_ingest, mbus_alerts USING (true)")
    op.execute(f"CREATE POLICY of_tenant_for_alerts ON subscription TO {API} USING (tenant_id = {TENANT})")
    op.execute(
        f"CREATE POLICY of_properties_for_alerts ON subscription AS RESTRICTIVE TO {API} USING ({OF_PROPERTIES})"
    )
    op.execute(f"CREATE POLICY of_subscription_for_alerts ON subscription_secret TO {API} USING ({OF_SUBSCRIPTION})")
    op.execute(
        f"CREATE POLICY of_subscription_for_alerts ON delivery TO {API}"
        f" USING (subscription_id IS NOT NULL AND tenant_id = {TENANT} AND {OF_SUBSCRIPTION})"
    )


def downgrade() -> None:
    """Take it all back; subscriptions and what was sent to them are lost."""
    op.execute("DELETE FROM delivery WHERE subscription_id IS NOT NULL")
    op.execute("DROP POLICY of_subscription_for_alerts ON delivery")
    op.execute(f"REVOKE ALL ON delivery FROM {API}")
    op.execute(
        """
        ALTER TABLE delivery
            DROP CONSTRAINT ck_delivery_of_a_tenant_or_of_operators,
            DROP COLUMN subscription_id,
            DROP COLUMN digest_id,
            DROP COLUMN held_by,
            DROP COLUMN wanted_since,
            DROP COLUMN last_attempt_at,
            DROP COLUMN last_status,
            DROP COLUMN last_error,
            DROP COLUMN dropped_at,
            DROP COLUMN dropped_because,
            ADD CONSTRAINT ck_delivery_of_a_tenant_or_of_operators CHECK ((alert_id IS NULL) = (tenant_id IS NULL))
        """
    )
    op.execute("CREATE INDEX ix_delivery_pending ON delivery (next_attempt_at) WHERE delivered_at IS NULL")
    op.execute("DROP TABLE subscription_secret, subscription")
