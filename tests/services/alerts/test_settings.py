"""What alerts is told by its environment, and what it refuses to be told."""

import pytest

from services.alerts.settings import AlertsSettings
from shared.settings import SettingsError, load


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBUS_ALERTS_DATABASE_URL", "postgresql://somebody@127.0.0.1/mbus")
    monkeypatch.setenv("MBUS_ALERTS_BROKER_URL", "amqp://somebody@127.0.0.1/")
    monkeypatch.setenv("MBUS_JWT_SECRET", "a secret of the tests, long enough")


def test_what_is_not_set_has_its_documented_default() -> None:
    settings = load(AlertsSettings)
    assert (settings.port, settings.settle_s, settings.grace_period_s) == (8001, 300, 15)
    assert settings.keep_deliveries_days == 30


@pytest.mark.parametrize("variable", ["SETTLE_S", "GRACE_PERIOD_S", "CALLERS_TIMEOUT_S"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e9"])
def test_a_time_that_cannot_be_is_refused_in_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"MBUS_ALERTS_{variable}", value)
    with pytest.raises(SettingsError, match=f"MBUS_ALERTS_{variable}") as refusal:
        load(AlertsSettings)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", ["0", "-1", "3651", "1.5", "a while"])
def test_events_are_kept_for_a_whole_number_of_days(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MBUS_ALERTS_KEEP_DELIVERIES_DAYS", value)
    with pytest.raises(SettingsError, match="MBUS_ALERTS_KEEP_DELIVERIES_DAYS"):
        load(AlertsSettings)
