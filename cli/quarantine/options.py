"""The options that say which quarantined readings are meant."""

from typing import Annotated

import typer

from cli.options import moment
from services.ingest.reasons import Reason
from shared.quarantine.selection import Selection, State

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="As `mbus quarantine list` shows them.")]
Reasons = Annotated[
    list[Reason] | None,
    typer.Option("--reason", metavar="REASON", help="Why it was refused, such as unknown_installation; repeatable."),
]
Gateways = Annotated[list[str] | None, typer.Option("--gateway", metavar="ID", help="Who sent it; repeatable.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", metavar="SLUG", help="Whose gateway sent it.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Last received from then on: 2026-11-01, 2026-11-01T12:00:00Z, 36h for ago."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Last received before that.")]
InState = Annotated[State, typer.Option(help="Those that wait, or that were replayed.")]
Everything = Annotated[bool, typer.Option("--all", help="Every one, where nothing else says which.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many it would be, and do nothing.")]


def selection(
    ids: list[int] | None,
    reasons: list[Reason] | None,
    gateways: list[str] | None,
    *,
    tenant: str | None,
    since: str | None,
    until: str | None,
    state: State,
) -> Selection:
    """What the options say."""
    return Selection(
        ids=ids or (),
        reasons=[reason.value for reason in reasons or ()],
        gateways=gateways or (),
        tenant=tenant,
        since=None if since is None else moment(since),
        until=None if until is None else moment(until),
        state=state,
    )


def refuse_everything(selected: Selection, *, everything: bool) -> None:
    """End with a usage error where nothing says which, unless all are meant."""
    if not selected.says_which and not everything:
        raise typer.BadParameter("say which: ids, --reason, --gateway, --tenant, --since or --until; or --all")
