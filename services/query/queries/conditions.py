"""Conditions on installations, for statements that go to the driver as they are.

The texts are the code's own; what callers say is passed as arguments.
"""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions that hold all at once, and the statement's arguments, of which the first is `$1`.

    Those on `meter_installation i` and those on `installation_status s` are kept apart: each finds its rows by itself.
    """

    of_installation: tuple[str, ...]
    of_status: tuple[str, ...]
    arguments: tuple[object, ...]

    def also(self, text: str, *values: object) -> Self:
        """These and one more on the installation, in whose `text` each of `values` is a `{}`."""
        numbered, arguments = self._numbered(text, values)
        return replace(self, of_installation=(*self.of_installation, numbered), arguments=arguments)

    def also_of_status(self, text: str, *values: object) -> Self:
        """The same on the status."""
        numbered, arguments = self._numbered(text, values)
        return replace(self, of_status=(*self.of_status, numbered), arguments=arguments)

    @property
    def texts(self) -> dict[str, str]:
        """What stands for `{of_installation}` and `{of_status}` in a statement."""
        return {"of_installation": " AND ".join(self.of_installation), "of_status": " AND ".join(self.of_status)}

    def _numbered(self, text: str, values: tuple[object, ...]) -> tuple[str, tuple[object, ...]]:
        first = len(self.arguments) + 1
        numbers = (f"${number}" for number in range(first, first + len(values)))
        return text.format(*numbers), (*self.arguments, *values)
