"""The OpenAPI document as it is published in docs/openapi/query.json: what the service answers, without a service."""

import json

from pydantic import SecretStr

from services.query.main import create_app
from services.query.settings import QuerySettings


def published_document() -> bytes:
    """The same bytes whatever the environment says: no setting is in the document."""
    never_started = QuerySettings.model_construct(
        database_url=SecretStr("postgresql://127.0.0.1/never"),
        jwt_secret=SecretStr("of a service that is never started"),
    )
    document = create_app(never_started).openapi()
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()
