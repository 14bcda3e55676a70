"""Cursors come back as they were, and only where they belong."""

import string
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.cursors import CursorError, decode_cursor, encode_cursor

POSITION = (datetime(2026, 11, 1, 12, 0, 0, 1, tzinfo=UTC), UUID("7f6c0000-0000-4000-8000-000000000001"))
SCOPE = ("installations", uuid4(), None)
URL_SAFE = set(string.ascii_letters + string.digits + "-_")


def decode(cursor: str, scope: tuple[object, ...] = SCOPE) -> tuple[datetime | None, UUID]:
    return decode_cursor(cursor, tuple[datetime | None, UUID], scope=scope)


@given(st.none() | st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_position_comes_back_as_it_was(time: datetime | None, identity: UUID) -> None:
    cursor = encode_cursor((time, identity), scope=SCOPE)
    assert set(cursor) <= URL_SAFE
    assert decode(cursor) == (time, identity)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        decode(text)


def test_every_single_changed_character_is_noticed() -> None:
    cursor = encode_cursor(POSITION, scope=SCOPE)
    for place in range(len(cursor)):
        for other in ("A", "B", "-", "=", "+", "\0", "é"):
            changed = cursor[:place] + other + cursor[place + 1 :]
            if changed != cursor:
                with pytest.raises(CursorError):
                    decode(changed)


@pytest.mark.parametrize("scope", [("properties", *SCOPE[1:]), ("installations", uuid4(), None), (*SCOPE[:2], True)])
def test_a_cursor_of_another_list_tenant_or_filter_is_refused(scope: tuple[object, ...]) -> None:
    with pytest.raises(CursorError):
        decode(encode_cursor(POSITION, scope=SCOPE), scope)


def test_a_position_of_another_shape_is_refused() -> None:
    with pytest.raises(CursorError):
        decode(encode_cursor(("a name", POSITION[1]), scope=SCOPE))
