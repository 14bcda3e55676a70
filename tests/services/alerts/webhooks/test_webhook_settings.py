"""`MBUS_ALERTS_WEBHOOKS_ALLOWED`, as a part of the settings of a service."""

import pytest
from pydantic_settings import SettingsConfigDict

from services.alerts.webhooks.allow_list import AllowList
from services.alerts.webhooks.settings import WebhookSettings
from shared.settings import Settings, SettingsError, load


class SomeSettings(Settings):
    other: int = 1


class WholeSettings(SomeSettings, WebhookSettings):
    model_config = SettingsConfigDict(env_prefix="MBUS_ALERTS_")


@pytest.mark.parametrize("value", [None, "", " "])
def test_by_default_nothing_is_allowed(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv("MBUS_ALERTS_WEBHOOKS_ALLOWED", value)
    assert load(WholeSettings).webhooks_allowed == AllowList()


def test_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBUS_ALERTS_WEBHOOKS_ALLOWED", "sink:8080, 10.1.0.0/16")
    allowed = load(WholeSettings).webhooks_allowed
    assert allowed.has_name("sink", 8080)
    assert len(allowed.networks) == 1


@pytest.mark.parametrize("value", ["http://sink", "sink,127.1", '["sink"]', "sink:99999"])
def test_what_cannot_be_read_is_refused_in_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MBUS_ALERTS_WEBHOOKS_ALLOWED", value)
    with pytest.raises(SettingsError, match="MBUS_ALERTS_WEBHOOKS_ALLOWED: '") as refusal:
        load(WholeSettings)
    assert "\n" not in str(refusal.value)
