"""JSON answers: dataclasses encoded by msgspec, several times faster than a response model's validation."""

from typing import Any

import msgspec
from fastapi import Response


def json_answer(body: Any, *, status_code: int = 200, media_type: str = "application/json") -> Response:
    """`body` (dataclasses, lists, dicts and scalars) as JSON; UTC times end in `Z`, durations are ISO 8601.

    A route that returns this names its dataclass as `response_model`, which then only documents it.
    """
    return Response(msgspec.json.encode(body), status_code=status_code, media_type=media_type)
