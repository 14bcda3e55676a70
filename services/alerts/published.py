"""The OpenAPI document as it is published in docs/openapi/alerts.json: what the service answers, without a service."""

import json

from pydantic import SecretStr

from services.alerts.main import create_app
from services.alerts.settings import AlertsSettings


def published_document() -> bytes:
    """The same bytes whatever the environment says: no setting is in the document."""
    never_started = AlertsSettings.model_construct(
        database_url=SecretStr("postgresql://127.0.0.1/never"),
        broker_url=SecretStr("amqp://127.0.0.1/never"),
        jwt_secret=SecretStr("of a service that is never started"),
    )
    document = create_app(never_started).openapi()
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()
