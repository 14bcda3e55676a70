"""The first tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quarantined_reading",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("original", sa.LargeBinary(), nullable=False),
        sa.Column(
            "original_sha256",
            sa.LargeBinary(),
            sa.Computed("sha256(original)", persisted=True),
            nullable=False,
        ),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_count", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantined_reading")),
    )
    op.create_index(
        op.f("ix_quarantined_reading_first_seen_at"), "quarantined_reading", ["first_seen_at"], unique=False
    )
    op.create_index(
        "uq_quarantined_reading_original",
        "quarantined_reading",
        ["gateway_id", "original_sha256", "reason"],
        unique=True,
    )
    op.create_table(
        "reading",
        sa.Column("meter_installation_id", sa.Uuid(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rssi_dbm", sa.SmallInteger(), nullable=True),
        sa.Column("battery_level_pct", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("meter_installation_id", "timestamp", name=op.f("pk_reading")),
    )
    op.create_table(
        "reading_correction",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("meter_installation_id", sa.Uuid(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_value", sa.Double(), nullable=False),
        sa.Column("new_value", sa.Double(), nullable=False),
        sa.Column("old_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("new_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("corrected_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_correction")),
    )
    op.create_index(
        op.f("ix_reading_correction_meter_installation_id_timestamp"),
        "reading_correction",
        ["meter_installation_id", "timestamp"],
        unique=False,
    )
    op.create_table(
        "tenant",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default=sa.text("'Europe/Copenhagen'"), nullable=False),
        sa.Column("stale_after", sa.Interval(), server_default=sa.text("'48 hours'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("stale_after > interval '0'", name=op.f("ck_tenant_stale_after_positive")),
        sa.CheckConstraint("stale_after <= interval '10 years'", name=op.f("ck_tenant_stale_after_bounded")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
        sa.UniqueConstraint("slug", name=op.f("uq_tenant_slug")),
    )
    op.create_table(
        "gateway",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("silent_after", sa.Interval(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id ~ '^[A-Za-z0-9_-]{1,64}$'", name=op.f("ck_gateway_id_fits_a_routing_key")),
        sa.CheckConstraint("silent_after > interval '0'", name=op.f("ck_gateway_silent_after_positive")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_gateway_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway")),
    )
    op.create_index(op.f("ix_gateway_tenant_id"), "gateway", ["tenant_id"], unique=False)
    op.create_table(
        "property",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_property_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_property")),
    )
    op.create_index(
        "uq_property_tenant_id_name",
        "property",
        ["tenant_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "property_config",
        sa.Column("property_id", sa.Uuid(), nullable=False),
        sa.Column("expected_interval", sa.Interval(), server_default=sa.text("'1 hour'"), nullable=False),
        sa.Column("billing_start_month", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "expected_interval > interval '0'", name=op.f("ck_property_config_expected_interval_positive")
        ),
        sa.CheckConstraint(
            "billing_start_month BETWEEN 1 AND 12",
            name=op.f("ck_property_config_billing_start_month_is_a_month"),
        ),
        sa.ForeignKeyConstraint(["property_id"], ["property.id"], name=op.f("fk_property_config_property_id")),
        sa.PrimaryKeyConstraint("property_id", name=op.f("pk_property_config")),
    )
    op.create_table(
        "unit",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("property_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["property_id"], ["property.id"], name=op.f("fk_unit_property_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit")),
    )
    op.create_index(
        "uq_unit_property_id_label",
        "unit",
        ["property_id", "label"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "meter_installation",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=True),
        sa.Column("meter_serial", sa.Text(), nullable=False),
        sa.Column("medium", sa.Text(), nullable=False),
        sa.Column("unit_of_measure", sa.Text(), nullable=False),
        sa.Column("value_field", sa.Text(), nullable=True),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "medium IN ('heat', 'cooling', 'cold_water', 'warm_water', 'water', 'electricity', 'gas',"
            " 'heat_cost_allocator')",
            name=op.f("ck_meter_installation_medium_is_known"),
        ),
        sa.CheckConstraint("meter_serial <> ''", name=op.f("ck_meter_installation_meter_serial_not_empty")),
        sa.CheckConstraint(
            "unit_of_measure IN ('Wh', 'kWh', 'MWh', 'GJ', 'l', 'm3', 'hca')",
            name=op.f("ck_meter_installation_unit_of_measure_is_known"),
        ),
        sa.CheckConstraint("deleted_at >= installed_at", name=op.f("ck_meter_installation_deleted_after_installed")),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_meter_installation_gateway_id")),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["meter_installation.id"], name=op.f("fk_meter_installation_replaces_id")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_meter_installation_tenant_id")),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_meter_installation_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_installation")),
    )
    op.create_index(op.f("ix_meter_installation_gateway_id"), "meter_installation", ["gateway_id"], unique=False)
    op.create_index(op.f("ix_meter_installation_replaces_id"), "meter_installation", ["replaces_id"], unique=False)
    op.create_index(op.f("ix_meter_installation_unit_id"), "meter_installation", ["unit_id"], unique=False)
    op.create_index(
        "uq_meter_installation_tenant_id_meter_serial",
        "meter_installation",
        ["tenant_id", "meter_serial"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        op.f("ix_meter_installation_tenant_id_meter_serial"),
        "meter_installation",
        ["tenant_id", "meter_serial"],
        unique=False,
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("installation_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_reading_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["installation_id"], ["meter_installation.id"], name=op.f("fk_alert_installation_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_alert_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_tenant_id_opened_at"), "alert", ["tenant_id", "opened_at"], unique=False)
    op.create_index(
        "uq_alert_open",
        "alert",
        ["installation_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "installation_status",
        sa.Column("installation_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'never_seen'"), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_reading_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_value", sa.Double(), nullable=True),
        sa.Column("last_rssi_dbm", sa.SmallInteger(), nullable=True),
        sa.Column("last_battery_level_pct", sa.SmallInteger(), nullable=True),
        sa.Column("last_gateway_id", sa.Text(), nullable=True),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('never_seen', 'fresh', 'stale')", name=op.f("ck_installation_status_state_is_known")
        ),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["meter_installation.id"],
            name=op.f("fk_installation_status_installation_id"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_installation_status_tenant_id")),
        sa.PrimaryKeyConstraint("installation_id", name=op.f("pk_installation_status")),
    )
    op.create_index(
        "ix_installation_status_due_at",
        "installation_status",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_installation_status_longest_silent",
        "installation_status",
        ["tenant_id", sa.text("last_reading_at NULLS FIRST"), "installation_id"],
        unique=False,
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_delivery_alert_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_delivery_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index(op.f("ix_delivery_alert_id"), "delivery", ["alert_id"], unique=False)
    op.create_index(
        "ix_delivery_pending",
        "delivery",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("delivery")
    op.drop_table("installation_status")
    op.drop_table("alert")
    op.drop_table("meter_installation")
    op.drop_table("unit")
    op.drop_table("property_config")
    op.drop_table("property")
    op.drop_table("gateway")
    op.drop_table("tenant")
    op.drop_table("reading_correction")
    op.drop_table("reading")
    op.drop_table("quarantined_reading")
