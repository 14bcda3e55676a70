"""What query is told by its environment, and what it refuses to be told."""

import pytest

from services.query.settings import QuerySettings
from shared.settings import SettingsError, load


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBUS_QUERY_DATABASE_URL", "postgresql://somebody@127.0.0.1/mbus")
    monkeypatch.setenv("MBUS_JWT_SECRET", "a secret of the tests, long enough")


def test_what_is_not_set_has_its_documented_default() -> None:
    settings = load(QuerySettings)
    assert (settings.port, settings.statement_timeout_s) == (8000, 10)
    assert (settings.rate_limit_per_s, settings.rate_limit_burst) == (200, 400)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MBUS_QUERY_RATE_LIMIT_PER_S", "-1"),
        ("MBUS_QUERY_RATE_LIMIT_PER_S", "nan"),
        ("MBUS_QUERY_RATE_LIMIT_PER_S", "inf"),
        ("MBUS_QUERY_RATE_LIMIT_BURST", "0"),
        ("MBUS_QUERY_RATE_LIMIT_BURST", "1.5"),
        ("MBUS_QUERY_LONGEST_GAP_S", "0"),
        ("MBUS_QUERY_LONGEST_GAP_S", "31622401"),
        ("MBUS_QUERY_STATEMENT_TIMEOUT_S", "0"),
        ("MBUS_QUERY_STATEMENT_TIMEOUT_S", "nan"),
        ("MBUS_QUERY_STATEMENT_TIMEOUT_S", "1e9"),
        ("MBUS_JWT_JWKS_URL", "https://issuer.example/keys"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as refusal:
        load(QuerySettings)
    assert "\n" not in str(refusal.value)
