"""Alerts describes its events to whoever asks."""

import httpx2

from services.alerts.main import create_app
from services.alerts.settings import AlertsSettings
from shared.asyncapi.published import published_document
from tests.support.tokens import SECRET


async def test_the_asyncapi_document_is_there_for_everyone() -> None:
    settings = AlertsSettings.model_validate(
        {
            "database_url": "postgresql://127.0.0.1/none",
            "broker_url": "amqp://127.0.0.1/none",
            "MBUS_JWT_SECRET": SECRET,
        }
    )
    transport = httpx2.ASGITransport(app=create_app(settings))
    async with httpx2.AsyncClient(transport=transport, base_url="http://alerts") as client:
        answer = await client.get("/asyncapi.json")
        documented = (await client.get("/openapi.json")).json()["paths"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == published_document()
    assert "/asyncapi.json" in documented
