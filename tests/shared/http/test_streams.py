"""Answers that are sent piece by piece."""

import pytest

from shared.http.streams import accepts_gzip


@pytest.mark.parametrize(
    "accept_encoding",
    ["gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "br;q=1.0,gzip;q=0.001", "x-gzip", "*", "gzip, *;q=0"],
)
def test_gzip_is_asked_for(accept_encoding: str) -> None:
    assert accepts_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    ["", "identity", "br, deflate", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "gzipped", ",;,=", ";q=1"],
)
def test_gzip_is_not_asked_for(accept_encoding: str) -> None:
    assert not accepts_gzip(accept_encoding)
