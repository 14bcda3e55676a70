"""How numbers of things are written."""

import pytest

from shared.counted import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 meters"), (1, "1 meter"), (2, "2 meters"), (1000, "1,000 meters")])
def test_only_one_thing_is_written_in_the_singular(number: int, text: str) -> None:
    assert counted(number, "meter") == text
