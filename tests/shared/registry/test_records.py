"""A registry file, CSV or JSON, becomes records that know where they stand."""

import codecs

import pytest

from shared.registry.problems import RefusedError
from shared.registry.records import read_records


def problems_of(content: bytes) -> list[str]:
    with pytest.raises(RefusedError) as refused:
        read_records(content)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_csv_is_read_with_either_separator_line_end_and_with_a_byte_order_mark(
    separator: str, end: str, bom: bytes
) -> None:
    lines = ("tenant;property", "acme;Nørregade 1", "", "beta;Skovvej 3")
    content = bom + end.join(lines).replace(";", separator).encode()
    found = [(str(record.place), dict(record.cells)) for record in read_records(content)]
    assert found == [
        ("line 2", {"tenant": "acme", "property": "Nørregade 1"}),
        ("line 4", {"tenant": "beta", "property": "Skovvej 3"}),
    ]


def test_a_semicolon_file_may_have_commas_in_its_cells() -> None:
    (record,) = read_records(b"address;unit\nVej 1, 8000 Aarhus;1. tv\n")
    assert record.cells == {"address": "Vej 1, 8000 Aarhus", "unit": "1. tv"}


def test_a_record_stands_where_its_first_line_is() -> None:
    found = read_records(b'unit,address\n1,"a\nb"\n2,c\n')
    assert [str(record.place) for record in found] == ["line 2", "line 4"]


def test_column_names_may_be_written_in_capitals_and_empty_columns_at_the_end_do_not_count() -> None:
    (record,) = read_records(b"Tenant, UNIT ,,\nacme,1,,\n")
    assert record.cells == {"tenant": "acme", "unit": "1"}


def test_json_is_a_list_of_objects() -> None:
    found = read_records(codecs.BOM_UTF8 + b' [{"tenant": "acme"}, {"tenant": null}]')
    assert [(str(record.place), dict(record.cells)) for record in found] == [
        ("item 1", {"tenant": "acme"}),
        ("item 2", {"tenant": None}),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file: is empty"),
        (b" \n\n", "the file: is empty"),
        (b";;;\n;;\n", "line 1: the first line must name the columns"),
        (b"unit,unit\n1,2\n", "line 1: the column 'unit' stands in the header twice"),
        (b"unit,,medium\n1,2,3\n", "line 1: a column has no name"),
        (b"\nunit\tmedium\n1\theat\n", r"line 2: neither ; nor , separates the columns in 'unit\tmedium'"),
        (b'unit,medium\n"1\n', "line 2: is no CSV: unexpected end of data"),
        (b"unit\nK\xe6lder\n", "line 2: the byte 0xE6 is not UTF-8 (in Excel, save as 'CSV UTF-8')"),
        (b'[{"tenant": NaN}]', "the file: is no JSON: JSON is malformed: invalid character (byte 12)"),
        (b'{"tenant": "acme"}', "the file: must be a list of objects"),
        (b"[" * 100_000, "the file: is nested too deeply"),
    ],
)
def test_a_file_that_is_no_registry_file_is_refused_with_its_reason(content: bytes, problem: str) -> None:
    assert problems_of(content) == [problem]


def test_every_line_of_the_wrong_length_says_so_beside_the_others() -> None:
    found = read_records(b"unit,medium\n1\n2,heat\n1,2,3\n")
    assert [record.wrong for record in found] == [
        "has 1 cell where the header has 2 columns",
        None,
        "has 3 cells where the header has 2 columns",
    ]
    assert [str(record.header) for record in found] == ["line 1"] * 3


def test_an_item_that_is_no_object_says_so_beside_the_others() -> None:
    assert [record.wrong for record in read_records(b"[1, {}]")] == ["must be an object", None]
