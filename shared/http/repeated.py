"""Query parameters that may be repeated."""

from typing import Annotated

from fastapi import Query

TIMES_MAX = 100
"""How often one may be given."""

GatewayId = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$")]
