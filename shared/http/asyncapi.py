"""`/asyncapi.json`: the description of the broker's messages, for everyone, as `/openapi.json` is that of a service."""

from fastapi import APIRouter, Response


def asyncapi_router(document: bytes) -> APIRouter:
    """The route that answers with `document`."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/asyncapi.json",
        summary="What goes to the broker and comes from it: an AsyncAPI 3.0 document",
        description="For other people's tools; `mbus asyncapi` writes the same.",
        response_class=Response,
        responses={
            200: {
                "description": "The document.",
                "content": {"application/json": {"schema": {"type": "object"}, "example": {"asyncapi": "3.0.0"}}},
            }
        },
    )
    async def asyncapi() -> Response:
        return Response(document, media_type="application/json")

    return router
