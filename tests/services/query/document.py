"""The service's OpenAPI document, and the operations in it."""

import json
from typing import Any

from services.query.published import published_document
from tests.support.operations import Operation, secured_operations

DOCUMENT: dict[str, Any] = json.loads(published_document())


def operations() -> list[Operation]:
    """All that need a token."""
    return list(secured_operations(DOCUMENT))
