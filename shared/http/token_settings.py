"""`MBUS_JWT_…`: what tokens are signed with, and whom they must be for and from."""

from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from shared.clock import Clock
from shared.http.jwks import JwksKeys
from shared.http.token_verifier import Keys, SharedSecret, TokenVerifier
from shared.settings import Settings

SECRET_MIN_BYTES = 32


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SECRET_MIN_BYTES:
        raise ValueError(f"must be at least {SECRET_MIN_BYTES} bytes long")
    return secret


def _safe_from_others(url: SecretStr) -> SecretStr:
    # Whoever can change the answer on its way can sign tokens for every tenant.
    try:
        parts = urlsplit(url.get_secret_value())
        host = parts.hostname or ""
        good = bool(host) and parts.port != 0 and parts.username is None
        good = good and (parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)))
    except ValueError:  # its text would repeat a part of the URL
        good = False
    if not good:
        raise ValueError("must be an https:// URL without a login; http:// only for a host of this machine itself")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class TokenAudienceSettings(Settings):
    """Whom a token must be for, and from."""

    jwt_audience: str = Field(default="mbus", validation_alias="MBUS_JWT_AUDIENCE")
    jwt_issuer: str | None = Field(default=None, validation_alias="MBUS_JWT_ISSUER")


class SigningSettings(TokenAudienceSettings):
    """What `mbus token` is told: it signs, so it needs the secret."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(validation_alias="MBUS_JWT_SECRET")


class TokenSettings(TokenAudienceSettings):
    """What a service is told: a secret in common with the issuer, or where the issuer publishes its keys."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        default=None, validation_alias="MBUS_JWT_SECRET"
    )
    jwt_jwks_url: Annotated[SecretStr, AfterValidator(_safe_from_others)] | None = Field(
        default=None, validation_alias="MBUS_JWT_JWKS_URL"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.jwt_secret is None) == (self.jwt_jwks_url is None):
            found = "neither is" if self.jwt_secret is None else "both are"
            raise ValueError(f"MBUS_JWT_SECRET or MBUS_JWT_JWKS_URL: one of them must be set, and {found}")
        return self


def token_keys(settings: TokenSettings) -> Keys:
    """The keys that `settings` name."""
    if settings.jwt_jwks_url is not None:
        return JwksKeys(settings.jwt_jwks_url.get_secret_value())
    assert settings.jwt_secret is not None  # noqa: S101 - one of them is set
    return SharedSecret(settings.jwt_secret.get_secret_value())


def create_verifier(settings: TokenSettings, keys: Keys, *, clock: Clock) -> TokenVerifier:
    """What verifies tokens as `settings` want it."""
    return TokenVerifier(keys, audience=settings.jwt_audience, issuer=settings.jwt_issuer, clock=clock)
