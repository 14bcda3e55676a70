"""Prints quarantined readings, for people and as JSON."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table

from cli.options import printable
from shared.counted import counted
from shared.quarantine.queries import Page, Quarantined
from shared.quarantine.selection import State


def print_page(counts: Mapping[str, int], page: Page, state: State, *, as_json: bool) -> None:
    """A page of them, and how many there are in all."""
    if as_json:
        items = [asdict(item) for item in page.items]
        cursor = page.next_cursor
        _print_json({"items": items, "next_cursor": cursor, "has_next": cursor is not None, "counts": dict(counts)})
        return
    if page.items:
        states = ["state"] if state is State.ANY else []
        table = Table("id", "last received", "seen", *states, "gateway", "reason", "detail", box=None, pad_edge=False)
        table.columns[0].justify = table.columns[2].justify = "right"
        for column in table.columns[:-1]:
            column.no_wrap = True
        for item in page.items:
            last = _time(item.last_seen_at)
            states = [item.state] if state is State.ANY else []
            seen = f"{item.seen_count:,}"
            table.add_row(str(item.id), last, seen, *states, item.gateway_id, item.reason, item.detail)
        console = Console(highlight=False, markup=False)
        console.print(table)
        print()
    print_counts(counts, state)
    if page.next_cursor is not None:
        print(f"The next ones: the same with --cursor {page.next_cursor}")


def print_counts(counts: Mapping[str, int], state: State) -> None:
    """How many there are of each reason."""
    in_state = "" if state is State.ANY else f" {state}"
    total = counted(sum(counts.values()), "reading")
    each = ", ".join(f"{number:,} {reason}" for reason, number in counts.items())
    print(f"{total}{in_state}{': ' if each else '.'}{each}")


def print_one(reading: Quarantined, original: bytes, *, only_original: bool, as_json: bool) -> None:
    """All of one, with its original text; or only that, byte by byte."""
    if only_original:
        sys.stdout.buffer.write(original)
        sys.stdout.buffer.flush()
        return
    text = original.decode("utf-8", "backslashreplace")
    if as_json:
        _print_json({**asdict(reading), "original": text})
        return
    for name, value in asdict(reading).items():
        shown = _time(value) if isinstance(value, datetime) else "" if value is None else printable(str(value))
        print(f"{name:<14} {shown}".rstrip())
    print(f"\n{printable(text)}")


def print_done(what: str, number: int, *, dry_run: bool, as_json: bool) -> None:
    """How many were, or would be, replayed or discarded."""
    if as_json:
        _print_json({what: number, "dry_run": dry_run})
    elif dry_run:
        print(f"{counted(number, 'reading')} would be {what}; nothing changed.")
    else:
        print(f"{counted(number, 'reading')} {'was' if number == 1 else 'were'} {what}.")


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%SZ}"


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
