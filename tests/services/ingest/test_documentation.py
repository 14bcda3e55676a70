"""Ingest describes the messages on the broker to whoever asks."""

import httpx2

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from shared.asyncapi.published import published_document


async def test_the_asyncapi_document_is_there_for_everyone() -> None:
    settings = IngestSettings.model_validate(
        {"database_url": "postgresql://127.0.0.1/none", "broker_url": "amqp://127.0.0.1/none"}
    )
    transport = httpx2.ASGITransport(app=create_app(settings))
    async with httpx2.AsyncClient(transport=transport, base_url="http://ingest") as client:
        answer = await client.get("/asyncapi.json")
        documented = (await client.get("/openapi.json")).json()["paths"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == published_document()
    assert "/asyncapi.json" in documented
