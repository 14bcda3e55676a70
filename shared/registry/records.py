"""Reads a registry file, CSV or JSON, into flat records that know where they stand."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from shared.registry.problems import Place, Problem, RefusedError


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a CSV file or one object of a JSON list: its columns and what they say.

    A column that is missing was not said; an empty one says that there is nothing.
    """

    place: Place
    cells: Mapping[str, object]


def read_records(content: bytes) -> list[Record]:
    """The records of a file; what starts with `[` or `{` is JSON, everything else CSV. Raises `RefusedError`."""
    text = _decode(content.removeprefix(codecs.BOM_UTF8))
    if not text.strip():
        raise RefusedError([Problem(Place(1), None, None, "the file is empty")])
    return _read_json(text) if text.lstrip()[0] in "[{" else _read_csv(text)


def _decode(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"the byte 0x{content[error.start]:02X} is not UTF-8 (in Excel, save as 'CSV UTF-8')"
        raise RefusedError([Problem(Place(line), None, None, wrong)]) from None


def _read_json(text: str) -> list[Record]:
    first = Place(1, "item")
    try:
        items = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise RefusedError([Problem(first, None, None, f"the file is no JSON: {error}")]) from None
    except RecursionError:
        raise RefusedError([Problem(first, None, None, "the file is nested too deeply")]) from None
    if not isinstance(items, list):
        raise RefusedError([Problem(first, None, None, "the file must be a list of objects")])
    wrong = [
        Problem(Place(number, "item"), None, None, "must be an object")
        for number, item in enumerate(items, start=1)
        if not isinstance(item, dict)
    ]
    if wrong:
        raise RefusedError(wrong)
    return [Record(Place(number, "item"), item) for number, item in enumerate(items, start=1)]


def _read_csv(text: str) -> list[Record]:
    lines = _csv_lines(text)
    place, header = next(lines, (Place(1), []))
    names = [name.strip().lower() for name in header]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise RefusedError([Problem(place, None, None, "the first line must name the columns")])
    problems = [
        Problem(
            place, None, None, f"the column {name!r} stands in the header twice" if name else "a column has no name"
        )
        for position, name in enumerate(names)
        if not name or name in names[:position]
    ]
    records = []
    for place, cells in lines:
        if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
            reason = f"has {len(cells)} cells where the header has {len(names)} columns"
            problems.append(Problem(place, None, None, reason))
        else:
            records.append(Record(place, dict(zip(names, cells, strict=False))))
    if problems:
        raise RefusedError(problems)
    return records


def _csv_lines(text: str) -> Iterator[tuple[Place, list[str]]]:
    """Every line that holds anything, with the place at which it begins; the header first."""
    header = text.lstrip().partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
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
