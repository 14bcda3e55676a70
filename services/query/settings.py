"""What query is told by its environment."""

from pydantic_settings import SettingsConfigDict

from shared.http.tokens import TokenSettings
from shared.settings import Port, ServiceSettings


class QuerySettings(ServiceSettings, TokenSettings):
    """`MBUS_QUERY_…` variables, and the tokens' `MBUS_JWT_…`."""

    model_config = SettingsConfigDict(env_prefix="MBUS_QUERY_")

    port: Port = 8000
