"""The feed of changes: what each commit stored of each tenant."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Sequence, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base

NUMBERS_A_COMMIT = 2**20

READING_BATCH = Sequence("reading_batch", increment=NUMBERS_A_COMMIT, metadata=Base.metadata)
"""Where a transaction that writes readings takes its first number; those up to the next one are its own too."""

READING_COUNT = Sequence("reading_count", minvalue=0, start=0, metadata=Base.metadata)
"""How many readings all batches have held."""


class ChangeBatch(Base):
    """Readings of a tenant that one commit stored or corrected: those that have the number `batch`.

    `position` counts a tenant's batches in the order in which they were committed, from 1 on and without gaps. `rows`
    is how many readings it held; those that were corrected since have moved on. `stored_before` is how many all batches
    before it held, of whatever tenant, and so about how far apart two lie. `earliest` and `latest` are times of
    readings, between which all of it lies.
    """

    __tablename__ = "change_batch"

    # No foreign key, as of a reading: it would lock the tenant's row with each commit.
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    batch: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(Integer)
    stored_before: Mapped[int] = mapped_column(BigInteger)
    earliest: Mapped[datetime]
    latest: Mapped[datetime]
    stored_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
