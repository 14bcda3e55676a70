"""Shows how far a history has been sent: a bar on a terminal, a line now and then elsewhere; on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

SECONDS_A_LINE = 5.0


class Advance(Protocol):
    """Told how many more readings have been dealt with."""

    def __call__(self, readings: int, /) -> None:
        """Count them."""


def say(text: str) -> None:
    """Tell the person who runs this something, beside the result on stdout."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def shown(what: str, total: int) -> Iterator[Advance]:
    """Show the progress of `total` readings until the block ends."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,} of {task.total:,}"),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda readings: bar.advance(task, readings)
    else:
        lines = _Lines(what, total)
        yield lines.advance


class _Rate(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


class _Lines:
    """A line every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._begun = self._told = time.monotonic()

    def advance(self, readings: int) -> None:
        self._done += readings
        now = time.monotonic()
        if now - self._told >= SECONDS_A_LINE:
            self._told = now
            rate = self._done / (now - self._begun)
            say(f"{self._what}: {self._done:,} of {self._total:,} readings, {rate:,.0f}/s")
