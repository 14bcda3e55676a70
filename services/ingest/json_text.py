"""JSON in which each part keeps its original text, read as tolerantly as gateways write.

NaN, infinities, lone surrogates and control characters in strings are let through, to be judged where they stand: one
of them must not cost the rest of a message.
"""

import json
import re
from dataclasses import dataclass
from typing import Self

_SPACE = re.compile(r"[ \t\n\r]*")

LONGEST_INTEGER = 400
"""Digits. A longer one exceeds every double; Python refuses to read integers of more than 4,300."""


class NotJsonError(ValueError):
    """The text is not JSON that can be read; the message says why."""


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


@dataclass(frozen=True)
class JsonText:
    """A decoded value and the text that it was read from."""

    value: object
    text: str

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a whole body. Raises `NotJsonError`."""
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise NotJsonError(f"not UTF-8: {error.reason} at byte {error.start}") from error
        start = _skip_space(text, 0)
        value, end = _value(text, start)
        if _skip_space(text, end) != len(text):
            raise NotJsonError(f"not JSON: something follows at character {end}")
        return cls(value, text[start:end])

    def elements(self) -> list["JsonText"]:
        """The elements of a list."""
        found: list[JsonText] = []
        position = _skip_space(self.text, 1)
        while self.text[position] != "]":
            value, end = _value(self.text, position)
            found.append(JsonText(value, self.text[position:end]))
            position = self._next(end)
        return found

    def member(self, name: str) -> "JsonText":
        """A member of an object; the last one where a name is repeated. Raises `KeyError` where there is none."""
        found: JsonText | None = None
        position = _skip_space(self.text, 1)
        while self.text[position] != "}":
            key, end = _value(self.text, position)
            start = _skip_space(self.text, _skip_space(self.text, end) + 1)
            value, end = _value(self.text, start)
            if key == name:
                found = JsonText(value, self.text[start:end])
            position = self._next(end)
        if found is None:
            raise KeyError(name)
        return found

    def _next(self, end: int) -> int:
        """Where the next element or member starts, or the closing bracket stands, after one that ended at `end`."""
        position = _skip_space(self.text, end)
        return _skip_space(self.text, position + 1) if self.text[position] == "," else position


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _value(text: str, position: int) -> tuple[object, int]:
    try:
        value: object
        value, end = json.JSONDecoder(parse_int=_integer, strict=False).raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from error
    except RecursionError as error:
        raise NotJsonError("nested too deeply") from error
    return value, end
