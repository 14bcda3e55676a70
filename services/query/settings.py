"""What query is told by its environment."""

from pydantic_settings import SettingsConfigDict

from shared.http.rate_limit import Burst, RatePerS
from shared.http.token_settings import TokenSettings
from shared.settings import Port, ServiceSettings


class QuerySettings(ServiceSettings, TokenSettings):
    """`MBUS_QUERY_…` variables, and the tokens' `MBUS_JWT_…`."""

    model_config = SettingsConfigDict(env_prefix="MBUS_QUERY_")

    port: Port = 8000
    rate_limit_per_s: RatePerS = 200.0
    rate_limit_burst: Burst = 400
