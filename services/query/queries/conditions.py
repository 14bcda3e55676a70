"""Conditions of a statement that goes to the driver as it is: texts of the code, with what callers say as arguments."""

from dataclasses import dataclass
from typing import Self

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions that hold all at once, and the statement's arguments, of which the first is `$1`."""

    texts: tuple[str, ...] = ()
    arguments: tuple[object, ...] = ()

    def also(self, text: str, *values: object) -> Self:
        """These and one more, in whose `text` each of `values` is a `{}`."""
        first = len(self.arguments) + 1
        numbered = text.format(*(f"${number}" for number in range(first, first + len(values))))
        return type(self)((*self.texts, numbered), (*self.arguments, *values))

    @override
    def __str__(self) -> str:
        return " AND ".join(self.texts)
