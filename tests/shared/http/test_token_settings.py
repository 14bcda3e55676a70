"""What tokens are signed with: exactly one of a good secret and a safe URL, or one line at the start."""

import pytest

from shared.http.jwks import JwksKeys
from shared.http.token_settings import TokenSettings, token_keys
from shared.http.token_verifier import SharedSecret
from shared.settings import SettingsError, load

SECRET = "a secret of the tests, long enough"
URL = "https://issuer.example/keys"


@pytest.mark.parametrize(("secret", "good"), [("x" * 31, False), ("x" * 32, True), ("å" * 16, True), ("", False)])
def test_a_secret_of_less_than_32_bytes_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, secret: str, *, good: bool
) -> None:
    monkeypatch.setenv("MBUS_JWT_SECRET", secret)
    if good:
        loaded = load(TokenSettings).jwt_secret
        assert loaded is not None
        assert loaded.get_secret_value() == secret
    else:
        with pytest.raises(SettingsError, match=r"^MBUS_JWT_SECRET") as refusal:
            load(TokenSettings)
        assert "xxx" not in str(refusal.value)


def test_a_secret_or_a_url_is_taken_and_never_none_or_both(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^MBUS_JWT_SECRET or MBUS_JWT_JWKS_URL: one .* neither is$"):
        load(TokenSettings)
    monkeypatch.setenv("MBUS_JWT_JWKS_URL", URL)
    assert isinstance(token_keys(load(TokenSettings)), JwksKeys)
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    with pytest.raises(SettingsError, match=r"both are$") as refusal:
        load(TokenSettings)
    assert "secret of" not in str(refusal.value)
    monkeypatch.setenv("MBUS_JWT_JWKS_URL", "")
    assert isinstance(token_keys(load(TokenSettings)), SharedSecret)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (URL, True),
        ("https://issuer.example:8443/realms/a/keys?x=1", True),
        ("http://localhost:8080/keys", True),
        ("http://127.0.0.1/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://issuer.example/keys", False),
        ("http://127.0.0.1.example/keys", False),
        ("http://10.0.0.1/keys", False),
        ("https://hunter2:hunter2@issuer.example/keys", False),
        ("file:///etc/passwd", False),
        ("ftp://issuer.example/keys", False),
        ("https:///keys", False),
        ("https://issuer.example:0/keys", False),
        ("https://[hunter2/keys", False),
        ("hunter2", False),
    ],
)
def test_a_url_is_https_or_of_this_machine(monkeypatch: pytest.MonkeyPatch, url: str, *, good: bool) -> None:
    monkeypatch.setenv("MBUS_JWT_JWKS_URL", url)
    if good:
        load(TokenSettings)
    else:
        with pytest.raises(SettingsError, match=r"^MBUS_JWT_JWKS_URL: must be an https:// URL") as refusal:
            load(TokenSettings)
        assert "hunter2" not in str(refusal.value)
