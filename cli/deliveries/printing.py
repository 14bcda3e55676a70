"""Prints deliveries, for people and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import msgspec
from rich.console import Console
from rich.table import Table

from cli.options import printable
from services.alerts.queries.delivery_fields import DeliveryState
from services.alerts.queries.delivery_selection import Logged

ID_CHARACTERS = 36
"""Of an id, which is what the other command takes."""

PIPED_WIDTH = 240
"""A program or a file is given whole lines."""


def print_list(counts: Mapping[DeliveryState, int], items: Sequence[Logged], *, as_json: bool) -> None:
    """Those found, and how many there are in all."""
    if as_json:
        _print_json({"items": [asdict(item) for item in items], "counts": {str(it): n for it, n in counts.items()}})
        return
    if items:
        table = Table(
            "id", "made", "tenant", "to", "event", "state", "failed", "last attempt", box=None, pad_edge=False
        )
        table.columns[0].min_width = ID_CHARACTERS
        table.columns[6].justify = "right"
        for column in table.columns[:-1]:
            column.no_wrap = True
        for item in items:
            table.add_row(
                str(item.id),
                f"{item.created_at:%Y-%m-%d %H:%M:%SZ}",
                item.tenant,
                printable(item.to),
                item.event_type,
                item.state if item.dropped_because is None else f"{item.state}: {item.dropped_because}",
                str(item.attempts),
                _last(item),
            )
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(table)
        print()
    each = ", ".join(f"{number:,} {state}" for state, number in counts.items())
    print(f"{deliveries(sum(counts.values()))}{': ' if each else '.'}{each}")


def print_done(number: int, *, dry_run: bool, as_json: bool) -> None:
    """How many are, or would be, sent again."""
    if as_json:
        _print_json({"redelivered": number, "dry_run": dry_run})
    elif dry_run:
        print(f"{deliveries(number)} would be sent again; nothing changed.")
    else:
        print(
            f"{deliveries(number)} {'is' if number == 1 else 'are'} sent again: `mbus delivery list` shows how it goes."
        )


def deliveries(number: int) -> str:
    """`1 delivery`, `2 deliveries`."""
    return f"{number:,} {'delivery' if number == 1 else 'deliveries'}"


def _last(item: Logged) -> str:
    if item.last_attempt_at is None:
        return ""
    what = item.last_error or ("" if item.last_status is None else str(item.last_status))
    return f"{item.last_attempt_at:%Y-%m-%d %H:%M:%SZ} {printable(what)}".rstrip()


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
