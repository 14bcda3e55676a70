"""Which dead letters are meant: by id, reason, gateway and time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from cli.dead_letters.letter import DeadLetter
from cli.options import moment

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `mbus dead-letters list` shows them.")]
OfReason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="What its reason holds, in any case.")]
OfGateway = Annotated[str | None, typer.Option("--gateway", metavar="ID", help="The gateway of its routing key.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Received from then on: 2026-11-01, 2026-11-01T12:00:00Z, 36h for ago."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Received before that.")]


@dataclass(frozen=True)
class Selection:
    """What all of these say; what is empty says nothing. Of which nobody knows the time, none is meant by time."""

    ids: Collection[str] = ()
    reason: str | None = None
    gateway: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def means(self, letter: DeadLetter) -> bool:
        """Whether `letter` is one of those."""
        return (
            (not self.ids or letter.id in self.ids)
            and (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and (self.gateway is None or self.gateway == letter.gateway_id)
            and (self.since is None or (letter.received_at is not None and letter.received_at >= self.since))
            and (self.until is None or (letter.received_at is not None and letter.received_at < self.until))
        )


def selection(
    ids: list[str] | None, reason: str | None, gateway: str | None, *, since: str | None, until: str | None
) -> Selection:
    """What the options say."""
    return Selection(
        ids=frozenset(ids or ()),
        reason=reason,
        gateway=gateway,
        since=None if since is None else moment(since),
        until=None if until is None else moment(until),
    )


def refuse_everything(selected: Selection, *, everything: bool) -> None:
    """End with a usage error where nothing says which, unless all are meant."""
    if selected == Selection(ids=frozenset()) and not everything:
        raise typer.BadParameter("say which: ids, --reason, --gateway, --since or --until; or --all")
