"""Reads a registry file, CSV or JSON, into flat records that know where they stand."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from shared.counted import counted
from shared.registry.problems import WHOLE_FILE, Place, Problem, RefusedError, shorten

SEPARATORS = ";,"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a CSV file or one object of a JSON list: its columns and what they say.

    A column that is missing was not said; an empty one says that there is nothing. `header` is where the columns are
    named, unless it is in the record itself. `wrong` is why the cells cannot be told apart, and so mean nothing.
    """

    place: Place
    cells: Mapping[str, object]
    header: Place | None = None
    wrong: str | None = None


def read_records(content: bytes) -> list[Record]:
    """The records of a file; what starts with `[` or `{` is JSON, everything else CSV.

    Raises `RefusedError` when it cannot be read at all; a single record that cannot be says so itself.
    """
    text = _decode(content.removeprefix(codecs.BOM_UTF8))
    if not text.strip():
        raise RefusedError([Problem(WHOLE_FILE, None, None, "is empty")])
    return _read_json(text) if text.lstrip()[0] in "[{" else _read_csv(text)


def _decode(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"the byte 0x{content[error.start]:02X} is not UTF-8 (in Excel, save as 'CSV UTF-8')"
        raise RefusedError([Problem(Place(line), None, None, wrong)]) from None


def _read_json(text: str) -> list[Record]:
    try:
        items = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise RefusedError([Problem(WHOLE_FILE, None, None, f"is no JSON: {error}")]) from None
    except RecursionError:
        raise RefusedError([Problem(WHOLE_FILE, None, None, "is nested too deeply")]) from None
    if not isinstance(items, list):
        raise RefusedError([Problem(WHOLE_FILE, None, None, "must be a list of objects")])
    return [
        Record(place, item) if isinstance(item, dict) else Record(place, {}, wrong="must be an object")
        for place, item in ((Place(number, "item"), item) for number, item in enumerate(items, start=1))
    ]


def _read_csv(text: str) -> list[Record]:
    lines = _csv_lines(text)
    header, titles = next(lines, (Place(1), []))
    names = [name.strip().lower() for name in titles]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise RefusedError([Problem(header, None, None, "the first line must name the columns")])
    problems = [
        Problem(
            header, None, None, f"the column {name!r} stands in the header twice" if name else "a column has no name"
        )
        for position, name in enumerate(names)
        if not name or name in names[:position]
    ]
    if problems:
        raise RefusedError(problems)
    records = []
    for place, cells in lines:
        wrong = None
        if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
            wrong = f"has {counted(len(cells), 'cell')} where the header has {counted(len(names), 'column')}"
        named = dict(zip_longest(names, cells[: len(names)]))
        records.append(Record(place, named, header, wrong))
    return records


def _csv_lines(text: str) -> Iterator[tuple[Place, list[str]]]:
    """Every line that holds anything, with the place at which it begins; the header first."""
    header = text.strip().partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    if separator not in header:
        before = text[: text.index(header)].count("\n")
        reason = f"neither {' nor '.join(SEPARATORS)} separates the columns in {shorten(header)}"
        raise RefusedError([Problem(Place(before + 1), None, None, reason)])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        place = Place(reader.line_num + 1)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RefusedError([Problem(place, None, None, f"is no CSV: {error}")]) from None
        if any(cell.strip() for cell in cells):
            yield place, cells
