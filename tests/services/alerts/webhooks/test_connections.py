"""Connections that are kept: used again, bounded, and no reason for a failure when they are closed meanwhile."""

import asyncio
import ssl

import pytest
import trustme
from httpcore2 import Request

from services.alerts.webhooks import connections
from services.alerts.webhooks.allow_list import parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from services.alerts.webhooks.connecting import JudgingBackend
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.outcomes import Answer
from services.alerts.webhooks.resolving import Resolver
from services.alerts.webhooks.urls import check_url
from tests.services.alerts.webhooks.receiver import CONTENT, Received, Receiver, reset
from tests.support.name_server import NameServer

LOOPBACK = parse_allow_list("127.0.0.1")


def url(receiver: Receiver, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{receiver.port}/"


async def test_one_connection_serves_many_webhooks_to_an_endpoint(receiver: Receiver) -> None:
    async with WebhookClient(allowed=LOOPBACK) as client:
        for number in range(100):
            await client.post(f"{url(receiver)}{number}", b"{}", {})
    assert (receiver.connections, len(receiver.received)) == (1, 100)
    await receiver.ended.wait()


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_one_connection_serves_many_webhooks_with_tls_too(most: ssl.TLSVersion) -> None:
    ca = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    serving.maximum_version = most
    ca.issue_cert("127.0.0.1").configure_cert(serving)
    ca.configure_trust(trusting)
    async with (
        Receiver(tls=serving).open() as receiver,
        WebhookClient(allowed=LOOPBACK, ssl_context=trusting) as client,
    ):
        for _ in range(100):
            await client.post(url(receiver, "https"), b"{}", {})
        assert (receiver.connections, len(receiver.received)) == (1, 100)


async def test_calls_at_once_share_as_many_connections(receiver: Receiver) -> None:
    async with WebhookClient(allowed=LOOPBACK) as client:

        async def post_many() -> None:
            for _ in range(50):
                await client.post(url(receiver), b"{}", {})

        await asyncio.gather(*(post_many() for _ in range(8)))
    assert receiver.connections == 8
    assert len(receiver.received) == 400


async def test_what_is_kept_is_bounded_for_one_endpoint_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_OF_ONE", 2)
    monkeypatch.setattr(connections, "KEPT_IN_ALL", 3)
    async with (
        Receiver().open() as first,
        Receiver().open() as second,
        Receiver().open() as third,
        WebhookClient(allowed=LOOPBACK) as client,
    ):
        for receiver, expected in ((first, 2), (second, 3), (third, 3)):
            await asyncio.gather(*(client.post(url(receiver), b"{}", {}) for _ in range(4)))
            assert client.kept == expected
        before = first.connections
        await client.post(url(first), b"{}", {})
        assert first.connections == before + 1  # those of before made room


async def test_what_was_kept_too_long_is_closed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_S", 0.0)
    async with Receiver().open() as other, WebhookClient(allowed=LOOPBACK) as client:
        await client.post(url(receiver), b"{}", {})
        await client.post(url(other), b"{}", {})
        await receiver.ended.wait()  # closed when the next came to be kept
        await client.post(url(other), b"{}", {})
        assert other.connections == 2


async def test_a_connection_that_was_closed_while_it_was_kept_is_not_used(receiver: Receiver) -> None:
    async def answer_and_close(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(CONTENT)
        writer.close()

    receiver.script = answer_and_close
    async with WebhookClient(allowed=LOOPBACK) as client:
        for _ in range(20):
            assert await client.post(url(receiver), b"{}", {}) == Answer(200)
    assert (receiver.connections, len(receiver.received)) == (20, 20)


@pytest.mark.parametrize("by_reset", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_one_that_is_closed_just_when_it_is_used_again_is_made_up_for(
    by_reset: bool,
    tls: bool,
) -> None:
    ca = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(serving)
    ca.configure_trust(trusting)

    async def close_at_the_second(received: Received, writer: asyncio.StreamWriter) -> None:
        if sum(one.connection == received.connection for one in receiver.received) == 2:
            if by_reset:
                reset(writer)
            writer.close()
            return
        writer.write(CONTENT)

    async with (
        Receiver(close_at_the_second, tls=serving if tls else None).open() as receiver,
        WebhookClient(allowed=LOOPBACK, ssl_context=trusting) as client,
    ):
        for number in range(5):
            assert await client.post(url(receiver, "https" if tls else "http"), b"%d" % number, {}) == Answer(200)
        assert [one.body for one in receiver.received] == [b"0", b"1", b"1", b"2", b"2", b"3", b"3", b"4", b"4"]


async def test_it_is_made_up_for_once_and_not_for_ever(receiver: Receiver) -> None:
    async def answer_the_first_only(_: Received, writer: asyncio.StreamWriter) -> None:
        if len(receiver.received) == 1:
            writer.write(CONTENT)
        else:
            writer.close()

    receiver.script = answer_the_first_only
    async with WebhookClient(allowed=LOOPBACK) as client:
        await client.post(url(receiver), b"{}", {})
        with pytest.raises(WebhookFailure) as refusal:
            await client.post(url(receiver), b"{}", {})
    assert refusal.value.kind is FailureKind.NO_ANSWER
    assert len(receiver.received) == 3


async def test_an_answer_that_began_is_not_asked_for_again(receiver: Receiver) -> None:
    async def break_off_at_the_second(_: Received, writer: asyncio.StreamWriter) -> None:
        if len(receiver.received) == 1:
            writer.write(CONTENT)
        else:
            writer.write(b"HTTP/1.1 200")
            writer.close()

    receiver.script = break_off_at_the_second
    async with WebhookClient(allowed=LOOPBACK) as client:
        await client.post(url(receiver), b"{}", {})
        with pytest.raises(WebhookFailure) as refusal:
            await client.post(url(receiver), b"{}", {})
    assert refusal.value.kind is FailureKind.BROKEN_ANSWER
    assert len(receiver.received) == 2


async def test_one_that_the_server_has_closed_is_not_given_out(receiver: Receiver, name_server: NameServer) -> None:
    endpoint = check_url(url(receiver), LOOPBACK)
    resolver = Resolver([name_server.address])
    kept = connections.Connections(JudgingBackend(resolver, LOOPBACK), ssl.create_default_context())
    connection = kept.fresh(endpoint)
    response = await connection.handle_async_request(
        Request("POST", endpoint.url, headers={"Host": endpoint.authority, "Content-Length": "0"})
    )
    await response.aread()
    await response.aclose()
    await kept.give_back(connection, endpoint)
    taken = await kept.take(endpoint)
    assert taken is connection
    await kept.give_back(connection, endpoint)
    receiver.reset()
    while not connection.has_expired():  # noqa: ASYNC110 - nothing tells of it but asking
        await asyncio.sleep(0.001)
    assert await kept.take(endpoint) is None
    assert len(kept) == 0
    await resolver.aclose()
