"""Prints dead letters, for people and as JSON."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from cli.dead_letters.letter import DeadLetter
from cli.dead_letters.operations import Found
from cli.options import printable
from shared.counted import counted

MOST_SHOWN = 20_000
"""Characters of a body that are shown to a person."""


def print_list(found: Found, *, as_json: bool) -> None:
    """Those that were found, and how many there are in all."""
    if as_json:
        about = {"looked_at": found.looked_at, "in_queue": found.in_queue, "counts": found.counts}
        _print_json({"items": [_summary(letter) for letter in found.letters], **about})
        return
    if found.letters:
        table = Table("id", "received", "bytes", "routing key", "reason", box=None, pad_edge=False)
        table.columns[2].justify = "right"
        for column in table.columns[:-1]:
            column.no_wrap = True
        for letter in found.letters:
            size = f"{len(letter.body):,}"
            table.add_row(letter.id, _time(letter), size, printable(letter.routing_key), printable(letter.reason))
        Console(highlight=False, markup=False).print(table)
        print()
    print_counts(found)
    if found.looked_at < found.in_queue:
        print(f"Looked at the oldest {found.looked_at:,} of {found.in_queue:,}.")


def print_counts(found: Found) -> None:
    """How many there are of each reason."""
    each = ", ".join(f"{number:,} {printable(reason)}" for reason, number in found.counts.most_common())
    print(f"{counted(sum(found.counts.values()), 'dead letter')}{': ' if each else '.'}{each}")


def print_one(letter: DeadLetter, *, as_json: bool) -> None:
    """All of one."""
    if as_json:
        headers = {name: _plain(value) for name, value in letter.headers.items()}
        _print_json({**_summary(letter), "headers": headers, "body_base64": b64encode(letter.body).decode()})
        return
    told = {
        "id": letter.id,
        "received": _time(letter),
        "exchange": letter.exchange or "",
        "routing key": letter.routing_key,
        "reason": letter.reason,
        "bytes": f"{len(letter.body):,}",
    }
    for name, value in told.items():
        print(f"{name:<12} {printable(value)}".rstrip())
    for name, value in letter.headers.items():
        print(f"{'header':<12} {printable(f'{name}: {value}')}")
    text = letter.body[: 4 * MOST_SHOWN].decode("utf-8", "backslashreplace")[:MOST_SHOWN]
    print(f"\n{printable(text)}")
    if len(letter.body) > len(text.encode()):
        print("… (`--body` prints all of it)")


def print_done(what: str, number: int, *, dry_run: bool, as_json: bool) -> None:
    """How many were, or would be, replayed or discarded."""
    if as_json:
        _print_json({what: number, "dry_run": dry_run})
    elif dry_run:
        print(f"{counted(number, 'dead letter')} would be {what}; nothing changed.")
    else:
        print(f"{counted(number, 'dead letter')} {'was' if number == 1 else 'were'} {what}.")


def _summary(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "received_at": letter.received_at,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "gateway_id": letter.gateway_id,
        "reason": letter.reason,
        "bytes": len(letter.body),
    }


def _plain(value: Any) -> Any:
    """A header as JSON can have it; what it cannot becomes text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _time(letter: DeadLetter) -> str:
    return "" if letter.received_at is None else f"{letter.received_at:%Y-%m-%d %H:%M:%SZ}"


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
