"""What query is told by its environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.http.rate_limit import Burst, RatePerS
from shared.http.token_settings import TokenSettings
from shared.settings import Port, ServiceSettings


class QuerySettings(ServiceSettings, TokenSettings):
    """`MBUS_QUERY_…` variables, and the tokens' `MBUS_JWT_…`."""

    model_config = SettingsConfigDict(env_prefix="MBUS_QUERY_")

    port: Port = 8000
    statement_timeout_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 10.0
    rate_limit_per_s: RatePerS = 200.0
    rate_limit_burst: Burst = 400
    longest_gap_s: Annotated[int, Field(ge=1, le=366 * 24 * 3600)] = 48 * 3600
