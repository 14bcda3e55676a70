"""What ingest is told by its environment, and what it refuses to be told."""

import pytest

from services.ingest.settings import IngestSettings
from shared.settings import SettingsError, load


@pytest.mark.parametrize("variable", ["REPLAY_INTERVAL_S", "GRACE_PERIOD_S"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e9"])
def test_a_time_that_cannot_be_is_refused_in_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("MBUS_INGEST_DATABASE_URL", "postgresql://somebody@127.0.0.1/mbus")
    monkeypatch.setenv("MBUS_INGEST_BROKER_URL", "amqp://somebody@127.0.0.1/")
    monkeypatch.setenv(f"MBUS_INGEST_{variable}", value)
    with pytest.raises(SettingsError, match=f"MBUS_INGEST_{variable}") as refusal:
        load(IngestSettings)
    assert "\n" not in str(refusal.value)
