"""What webhooks are told by the environment."""

from typing import Annotated

from pydantic import PlainValidator
from pydantic_settings import NoDecode

from services.alerts.webhooks.allow_list import AllowList, parse_allow_list
from shared.settings import Settings


def _allow_list(value: AllowList | str) -> AllowList:
    return value if isinstance(value, AllowList) else parse_allow_list(value)


class WebhookSettings(Settings):
    """A part of the alerts service's settings, which give the variable its prefix: `MBUS_ALERTS_WEBHOOKS_ALLOWED`."""

    webhooks_allowed: Annotated[AllowList, NoDecode, PlainValidator(_allow_list)] = AllowList()
    """Hosts that may be internal and plain `http`, separated by commas: `sink:8080, 10.1.0.0/16`. By default none."""
