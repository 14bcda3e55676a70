"""What mail is told by the environment of alerts, and what it refuses to be told, at the start and in clear words."""

from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pydantic_settings import SettingsConfigDict

from services.alerts.mail.addresses import Sender
from services.alerts.mail.sending import Encryption, Login, MailServer
from services.alerts.mail.settings import Mailing, MailSettings
from shared.settings import SettingsError, load

KEY = "a key of the tests, of 32 bytes.."
MAILING = Mailing(
    server=MailServer("mail.example.com", 587, Encryption.STARTTLS),
    sender=Sender("alerts@example.com", "M-Bus alerts"),
    public_url="https://alerts.example.com",
    unsubscribe_key=KEY.encode(),
)


class Told(MailSettings):
    """As the settings of alerts have it."""

    model_config = SettingsConfigDict(env_prefix="MBUS_ALERTS_")


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBUS_ALERTS_SMTP_URL", "smtp://mail.example.com")
    monkeypatch.setenv("MBUS_ALERTS_MAIL_FROM", "M-Bus alerts <alerts@example.com>")
    monkeypatch.setenv("MBUS_ALERTS_PUBLIC_URL", "https://alerts.example.com/")
    monkeypatch.setenv("MBUS_ALERTS_UNSUBSCRIBE_KEY", KEY)


def refusal() -> str:
    """Why the environment is refused, in one line."""
    with pytest.raises(SettingsError) as refused:
        load(Told)
    assert "\n" not in str(refused.value)
    assert KEY not in str(refused.value)
    return str(refused.value)


def test_what_is_needed_is_enough() -> None:
    settings = load(Told)
    assert settings.mailing() == MAILING
    assert KEY not in f"{settings!r} {settings.mailing()!r}"


def test_without_a_server_there_is_no_mail_and_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MBUS_ALERTS_SMTP_URL")
    assert load(Told).mailing() is None
    for name in ("MAIL_FROM", "PUBLIC_URL", "UNSUBSCRIBE_KEY"):
        monkeypatch.delenv(f"MBUS_ALERTS_{name}")
    assert load(Told).mailing() is None


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com/", MailServer("mail.example.com", 587, Encryption.STARTTLS)),
        ("smtps://mail.example.com", MailServer("mail.example.com", 465, Encryption.TLS)),
        ("smtps://mail.example.com:2465", MailServer("mail.example.com", 2465, Encryption.TLS)),
        ("smtp://[::1]:25", MailServer("::1", 25, Encryption.STARTTLS)),
        (
            "smtps://alerts%40example.com:b%C3%A6st%2F%3A%40%25@mail.example.com",
            MailServer("mail.example.com", 465, Encryption.TLS, Login("alerts@example.com", "bæst/:@%")),
        ),
    ],
)
def test_the_url_says_where_and_how(monkeypatch: pytest.MonkeyPatch, url: str, server: MailServer) -> None:
    monkeypatch.setenv("MBUS_ALERTS_SMTP_URL", url)
    settings = load(Told)
    assert settings.mailing() == replace(MAILING, server=server)
    assert "b%C3" not in repr(settings)
    assert "bæst" not in repr(settings.mailing())


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://:587",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:99999",
        "smtp://letmein@mail.example.com",
        "smtp://letmein:@mail.example.com",
        "smtp://:letmein@mail.example.com",
        "smtp://user:letmein%ff@mail.example.com",
        "smtp://user:letmein@mail.example.com/path",
        "smtp://user:letmein@mail.example.com?verify=no",
        "smtp://user:letmein#@mail.example.com",
    ],
)
def test_another_url_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MBUS_ALERTS_SMTP_URL", url)
    refused = refusal()
    assert refused.startswith("MBUS_ALERTS_SMTP_URL: must be smtp://host (with STARTTLS) or smtps://host")
    assert "letmein" not in refused


def test_plain_connections_are_only_made_where_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MBUS_ALERTS_SMTP_WITHOUT_TLS", "true")
    assert load(Told).mailing() == replace(MAILING, server=MailServer("mail.example.com", 25, Encryption.NONE))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("MBUS_ALERTS_SMTP_CA_FILE", str(tmp_path / "ca.pem"))
    assert "MBUS_ALERTS_SMTP_WITHOUT_TLS leaves nothing to do for MBUS_ALERTS_SMTP_CA_FILE" in refusal()
    monkeypatch.setenv("MBUS_ALERTS_SMTP_URL", "smtps://mail.example.com")
    assert "MBUS_ALERTS_SMTP_WITHOUT_TLS contradicts the smtps:// of MBUS_ALERTS_SMTP_URL" in refusal()


def test_certificates_of_ones_own_are_looked_at_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    monkeypatch.setenv("MBUS_ALERTS_SMTP_CA_FILE", str(file))
    assert refusal() == "MBUS_ALERTS_SMTP_CA_FILE: must be a file of certificates in PEM that can be read"
    file.write_text("no certificate\n")
    assert refusal() == "MBUS_ALERTS_SMTP_CA_FILE: must be a file of certificates in PEM that can be read"
    trustme.CA().cert_pem.write_to_path(str(file))
    mailing = load(Told).mailing()
    assert mailing is not None
    assert mailing.server.ca_file == file


@pytest.mark.parametrize("name", ["MAIL_FROM", "PUBLIC_URL", "UNSUBSCRIBE_KEY"])
def test_half_of_it_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(f"MBUS_ALERTS_{name}")
    assert refusal() == f"MBUS_ALERTS_SMTP_URL is set, and needs MBUS_ALERTS_{name}"


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://example.com/alerts/", True),
        ("http://127.0.0.1:8001", True),
        ("http://localhost:8001", True),
        ("http://[::1]:8001", True),
        ("http://alerts.example.com", False),
        ("https://", False),
        ("https://user:letmein@alerts.example.com", False),
        ("https://alerts.example.com?page=1", False),
        ("https://alerts.example.com/#top", False),
        ("https://alerts.example.com/a b", False),
        ("https://alerts.example.com/>", False),
        ("https://målere.example.com", False),
        ("https://alerts.example.com/\r\nBcc: bo", False),
        ("https://example.com/" + "a" * 500, False),
        ("ftp://alerts.example.com", False),
    ],
)
def test_links_lead_where_nobody_listens_in(monkeypatch: pytest.MonkeyPatch, url: str, *, good: bool) -> None:
    monkeypatch.setenv("MBUS_ALERTS_PUBLIC_URL", url)
    if good:
        assert load(Told).mailing() == replace(MAILING, public_url=url.rstrip("/"))
    else:
        assert refusal().startswith("MBUS_ALERTS_PUBLIC_URL: must be an https:// URL")


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("MAIL_FROM", "alerts", "must be an address, or a name and <an address>: "),
        ("MAIL_FROM", "Alerts <a@example.com>, b@example.com", "must be an address"),
        ("UNSUBSCRIBE_KEY", "k" * 31, "must be at least 32 bytes long"),
        ("SMTP_TIMEOUT_S", "0.5", "greater than or equal to 1"),
        ("SMTP_TIMEOUT_S", "nan", "finite"),
        ("SMTP_TIMEOUT_S", "41", "less than or equal to 40"),
        ("SMTP_WITHOUT_TLS", "perhaps", "boolean"),
    ],
)
def test_a_variable_that_is_no_good_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(f"MBUS_ALERTS_{variable}", value)
    refused = refusal()
    assert refused.startswith(f"MBUS_ALERTS_{variable}: ")
    assert why in refused
