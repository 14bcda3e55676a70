"""The version of the registry: other whenever a gateway or an installation has changed."""

from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class RegistryVersion(Base):
    """One row, whose `version` triggers on `gateway` and `meter_installation` set anew at the end of a transaction.

    What was read at a version is right for as long as the version is the same.
    """

    __tablename__ = "registry_version"
    __table_args__ = (CheckConstraint("singleton", name="one_row"),)

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    version: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
