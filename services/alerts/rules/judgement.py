"""When silence may be judged at all: never while a reading may still be under way because of our own absence. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class PipelineView:
    """What alerts sees of the way from the gateways to itself.

    `whole` is whether broker and database are there; `waiting` counts messages in the queues and in alerts' own hands.
    """

    whole: bool
    waiting: int


class Judgement:
    """Holds judgement back after an absence, until the pipeline has been empty for the settle time.

    A start counts as an absence, and so does every time that the broker or the database was away: ingest then holds
    messages that no queue counts. Once settled, waiting messages hold judgement only while they wait.
    """

    def __init__(self, settle: timedelta) -> None:
        self._settle = settle
        self._empty_since: datetime | None = None
        self._settled = False

    def interrupted(self) -> None:
        """Take note of an absence that was seen elsewhere than in a look."""
        self._settled = False
        self._empty_since = None

    def allows(self, view: PipelineView, now: datetime) -> bool:
        """Whether what is due by `now` may be judged."""
        empty = view.whole and view.waiting == 0
        if not view.whole:
            self.interrupted()
        elif not empty:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        if self._empty_since is not None and now - self._empty_since >= self._settle:
            self._settled = True
        return empty and self._settled
