"""The document as it is published: by `GET /asyncapi.json`, by `mbus asyncapi`, and as docs/asyncapi.json."""

import msgspec

from shared.asyncapi.alerts import alert_messages
from shared.asyncapi.document import make_document
from shared.asyncapi.gateways import gateway_messages


def published_document() -> bytes:
    """The document as indented JSON with a newline at its end."""
    document = make_document([gateway_messages(), alert_messages()])
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
