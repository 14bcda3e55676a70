"""How far the numbers of each tenant's alert events go, by which a live stream is read."""

from uuid import UUID

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class AlertStream(Base):
    """Of a tenant the `newest` number that an event has, and the newest of those that are `removed` (0: none is)."""

    __tablename__ = "alert_stream"

    # No foreign key: it would lock the tenant's row each time.
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    newest: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
