"""What is wrong with a registration: where it stands, what it says, and why that cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

SHOWN_CHARACTERS = 60


class RegistryError(Exception):
    """A registration cannot be made; the text is for the person who asked for it."""


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where in its source a record stands: `line` of a CSV file or `item` of a JSON list, counted from 1; 0 is none."""

    number: int
    what: str = "line"

    @override
    def __str__(self) -> str:
        return f"{self.what} {self.number}" if self.number else f"the {self.what}"


WHOLE_FILE = Place(0, "file")
"""The place of what is about no line or item more than another."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `column` is None when it is about the whole record."""

    place: Place
    column: str | None
    value: object
    reason: str

    @override
    def __str__(self) -> str:
        if self.column is None:
            return f"{self.place}: {self.reason}"
        shown = "empty" if self.value in ("", None) else shorten(self.value)
        return f"{self.place}: {self.column}: {shown}: {self.reason}"


class RefusedError(RegistryError):
    """Nothing was registered; `problems` says everything that is wrong, in the order of the source."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.place)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def shorten(value: object) -> str:
    """A value as it can be shown in a line, however long it is."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
