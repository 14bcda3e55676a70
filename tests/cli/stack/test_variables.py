"""Each service gets logins of its own on the servers that the stack has."""

import pytest

from cli.stack.keys import Keys
from cli.stack.services import inherited_environment
from cli.stack.variables import server_variables, service_urls

KEYS = Keys(name="ab12cd", service_logins="s3cret", jwt="x" * 48)


def test_services_log_in_under_names_of_this_checkout_and_keep_the_rest_of_the_url() -> None:
    variables = server_variables(
        database_url="postgresql://me:mine@db.example:6432/mbus?ssl=require",
        broker_url="amqps://me:mine@mq.example:5671/site%2F1?heartbeat=10",
        management_url="http://me:mine@mq.example:15672",
        mqtt_url=None,
        keys=KEYS,
    )
    assert (
        variables["MBUS_QUERY_DATABASE_URL"] == "postgresql://mbus_query_ab12cd:s3cret@db.example:6432/mbus?ssl=require"
    )
    assert (
        variables["MBUS_INGEST_BROKER_URL"] == "amqps://mbus-ingest-ab12cd:s3cret@mq.example:5671/site%2F1?heartbeat=10"
    )
    assert not {"MBUS_QUERY_BROKER_URL", "MBUS_MQTT_URL"} & variables.keys()
    assert variables["MBUS_DATABASE_URL"] == "postgresql://me:mine@db.example:6432/mbus?ssl=require"
    services = {name: url for name, url in variables.items() if name.startswith(("MBUS_INGEST", "MBUS_ALERTS"))}
    assert len(services) == 4
    assert not any("mine" in url for url in services.values())


def test_services_are_on_the_loopback_interface() -> None:
    urls = service_urls({"ingest": 1, "query": 2, "alerts": 3})
    assert urls == {
        "MBUS_INGEST_URL": "http://127.0.0.1:1",
        "MBUS_QUERY_URL": "http://127.0.0.1:2",
        "MBUS_ALERTS_URL": "http://127.0.0.1:3",
    }


def test_a_program_inherits_no_variable_that_opens_another_door(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MBUS_DATABASE_URL", "MBUS_QUERY_DATABASE_URL", "MBUS_INGEST_PREFETCH", "MBUS_LOG_LEVEL", "OTHER"):
        monkeypatch.setenv(name, "1")
    inherited = inherited_environment("MBUS_INGEST_")
    assert {"MBUS_INGEST_PREFETCH", "MBUS_LOG_LEVEL", "OTHER"} <= inherited.keys()
    assert not {"MBUS_DATABASE_URL", "MBUS_QUERY_DATABASE_URL"} & inherited.keys()


def test_mail_and_webhooks_are_set_up_for_alerts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator exports before `mbus up` reaches it, as it is."""
    settings = {
        "MBUS_ALERTS_SMTP_URL": "smtps://user:pa$$w%40rd@mail.example.com",
        "MBUS_ALERTS_UNSUBSCRIBE_KEY": "k" * 32,
        "MBUS_ALERTS_WEBHOOKS_ALLOWED": "sink:8080, 10.1.0.0/16",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert settings.items() <= inherited_environment("MBUS_ALERTS_").items()
    assert not settings.keys() & inherited_environment("MBUS_QUERY_").keys()
