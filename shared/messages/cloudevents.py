"""CloudEvents 1.0 in structured JSON: the envelope of every event that the back end publishes."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

CONTENT_TYPE = "application/cloudevents+json"

D = TypeVar("D")


class CloudEvent(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """An event: `id` is unique within `source`, and the same when the same event is published again.

    `traceparent` and `tracestate` are CloudEvents' distributed tracing extension; they are absent without a trace.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: Annotated[datetime, Meta(tz=True)]
    datacontenttype: str = "application/json"
    data: D
    traceparent: str | UnsetType | None = UNSET
    tracestate: str | UnsetType | None = UNSET
