"""Cursors come back as they were, and only where they belong."""

import string
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.cursors import CursorError, decode_cursor, digest_of, encode_cursor

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


def forged(body: bytes) -> str:
    """A cursor that has the right digest, which is no secret."""
    return urlsafe_b64encode(digest_of(body, SCOPE) + body).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "time",
    [
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59.999999-14:00",
        b"2026-11-01T12:00:00",
        b"2026-11-01",
        b"infinity",
        b"\xff",
    ],
)
def test_a_forged_time_that_is_no_moment_is_refused(time: bytes) -> None:
    with pytest.raises(CursorError):
        decode_cursor(forged(b'["' + time + b'"]'), tuple[datetime], scope=SCOPE)


def test_a_forged_time_is_read_in_utc() -> None:
    (time,) = decode_cursor(forged(b'["2026-11-01T00:30:00+01:00"]'), tuple[datetime], scope=SCOPE)
    assert (time.isoformat(), time.tzinfo) == ("2026-10-31T23:30:00+00:00", UTC)


@pytest.mark.parametrize(
    "text", [rb"\u0000", rb"a\u0000b", rb"\ud800", rb"\udc00", rb"\ud800\u0041", b"\xff", b"\xed\xa0\x80", b"\0"]
)
def test_a_forged_text_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(CursorError):
        decode_cursor(forged(b'["' + text + b'"]'), tuple[str], scope=SCOPE)


@given(st.binary())
def test_whatever_is_forged_is_a_position_or_refused(body: bytes) -> None:
    with pytest.raises(CursorError):
        decode_cursor(forged(body), tuple[str, datetime, UUID], scope=SCOPE)
