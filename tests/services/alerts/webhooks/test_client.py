"""Posting, and what an endpoint can do to who posts: everything ends in time, and nothing grows."""

import asyncio
import gc
import time

import pytest

from services.alerts.webhooks.allow_list import AllowList, parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from services.alerts.webhooks.connecting import ANSWER_MAX_BYTES
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.outcomes import Answer
from services.alerts.webhooks.urls import check_url
from tests.services.alerts.webhooks.receiver import CONTENT, Received, Receiver, answering

LOOPBACK = parse_allow_list("127.0.0.1,localhost")
SHORT_S = 0.3
"""A time that is to run out."""

BODY = b'{"id":"1"}'


def url(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/hook?a=b"


async def post(receiver: Receiver, *, timeout_s: float = 15.0) -> Answer:
    async with WebhookClient(allowed=LOOPBACK, timeout_s=timeout_s) as client:
        return await client.post(url(receiver), BODY, {"webhook-id": "evt_1"})


async def failure(receiver: Receiver, *, timeout_s: float = 15.0) -> WebhookFailure:
    with pytest.raises(WebhookFailure) as refusal:
        await post(receiver, timeout_s=timeout_s)
    return refusal.value


async def test_what_is_posted_arrives_as_it_was_given(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9/")
    body = '{"place":"Kælderen"}'.encode()
    headers = {"content-type": "application/cloudevents+json", "webhook-id": "evt_1"}
    async with WebhookClient(allowed=LOOPBACK) as client:
        assert await client.post(check_url(url(receiver), LOOPBACK), body, headers) == Answer(200)
    (received,) = receiver.received
    assert (received.line, received.body) == ("POST /hook?a=b HTTP/1.1", body)
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "mbus-alerts",
        "accept": "*/*",
        "content-length": str(len(body)),
        **headers,
    }


@pytest.mark.parametrize("status", [200, 204, 301, 404, 410, 429, 500, 599])
async def test_the_status_is_the_answer_whatever_it_is(receiver: Receiver, status: int) -> None:
    receiver.script = answering(b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\n\r\n" % status)
    assert await post(receiver) == Answer(status)


async def test_retry_after_is_told_as_it_was_sent_if_not_for_ever(receiver: Receiver) -> None:
    receiver.script = answering(b"HTTP/1.1 503 No\r\nRETRY-AFTER: 120\r\nContent-Length: 0\r\n\r\n")
    assert await post(receiver) == Answer(503, "120")
    receiver.script = answering(b"HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % (b"9" * 5000))
    assert await post(receiver) == Answer(503, "9" * 100)


async def test_a_redirect_is_not_followed_and_a_cookie_not_kept(receiver: Receiver) -> None:
    async with Receiver().open() as internal:
        receiver.script = answering(
            b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%d/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
            % internal.port
        )
        async with WebhookClient(allowed=LOOPBACK) as client:
            for _ in range(2):
                assert await client.post(url(receiver), BODY, {}) == Answer(307)
        assert internal.connections == 0
    assert [("cookie" in one.headers) for one in receiver.received] == [False, False]


async def test_interim_answers_are_passed_over(receiver: Receiver) -> None:
    receiver.script = answering(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + CONTENT)
    assert await post(receiver) == Answer(200)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ],
)
async def test_a_body_that_breaks_off_changes_nothing_of_the_status(receiver: Receiver, answer: bytes) -> None:
    async def break_off(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    receiver.script = break_off
    assert await post(receiver) == Answer(200)


SECRET = b"SSH-2.0-OpenSSH_9.2 internal"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", FailureKind.NO_ANSWER),
        (b"HTTP/1.1 200", FailureKind.BROKEN_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Le", FailureKind.BROKEN_ANSWER),
        (SECRET + b"\r\n\r\n", FailureKind.BROKEN_ANSWER),
        (b"HTTP/1.1 200 OK\r\n" + SECRET + b"\r\n\r\n", FailureKind.BROKEN_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", FailureKind.BROKEN_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", FailureKind.BROKEN_ANSWER),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", FailureKind.BROKEN_ANSWER),
        (b"\x15\x03\x01\x00\x02\x02\x50", FailureKind.BROKEN_ANSWER),
    ],
)
async def test_what_is_no_answer_is_a_failure_that_repeats_nothing_of_it(
    receiver: Receiver, answer: bytes, kind: FailureKind
) -> None:
    async def break_off(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    receiver.script = break_off
    refusal = await failure(receiver)
    assert refusal.kind is kind
    assert "SSH" not in str(refusal)
    assert receiver.connections == 1


async def pour(writer: asyncio.StreamWriter, start: bytes, more: bytes) -> int:
    """Write until nobody reads any more; how much it was."""
    writer.write(start)
    poured = len(start)
    while not writer.is_closing() and poured < 100 * ANSWER_MAX_BYTES:
        writer.write(more)
        poured += len(more)
        await writer.drain()
    return poured


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Much: " + b"a" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a" * 1000),
        (b"HTTP/1.1 200 ", b"a" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
async def test_headers_without_end_are_a_failure_and_not_read(receiver: Receiver, start: bytes, more: bytes) -> None:
    async def pour_out(_: Received, writer: asyncio.StreamWriter) -> None:
        await pour(writer, start, more)

    receiver.script = pour_out
    refusal = await failure(receiver)
    assert (refusal.kind, str(refusal)) == (
        FailureKind.BROKEN_ANSWER,
        "The headers of the endpoint's answer are too long.",
    )


@pytest.mark.parametrize(
    "length", [b"Transfer-Encoding: chunked", b"Content-Length: 999999999999", b"Connection: close"]
)
async def test_a_body_without_end_is_not_read_and_changes_nothing(receiver: Receiver, length: bytes) -> None:
    async def pour_out(_: Received, writer: asyncio.StreamWriter) -> None:
        await pour(writer, b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n", b"3e8\r\n" + b"a" * 1000 + b"\r\n")

    receiver.script = pour_out
    assert await post(receiver) == Answer(200)
    await receiver.ended.wait()


async def drip(writer: asyncio.StreamWriter, start: bytes, more: bytes) -> None:
    writer.write(start)
    while not writer.is_closing():
        writer.write(more)
        await writer.drain()
        await asyncio.sleep(SHORT_S / 10)


async def test_headers_that_drip_are_ended_by_the_time_for_all(receiver: Receiver) -> None:
    async def drip_headers(_: Received, writer: asyncio.StreamWriter) -> None:
        await drip(writer, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")

    receiver.script = drip_headers
    begun = time.monotonic()
    refusal = await failure(receiver, timeout_s=SHORT_S)
    assert refusal.kind is FailureKind.TIMED_OUT
    assert str(refusal) == "The endpoint did not answer within 0.3 seconds."
    assert SHORT_S <= time.monotonic() - begun < 10 * SHORT_S
    await receiver.ended.wait()


async def test_a_body_that_drips_is_ended_by_the_time_for_all_and_the_status_stands(receiver: Receiver) -> None:
    async def drip_body(_: Received, writer: asyncio.StreamWriter) -> None:
        await drip(writer, b"HTTP/1.1 202 OK\r\nContent-Length: 99999\r\n\r\n", b"a")

    receiver.script = drip_body
    begun = time.monotonic()
    assert await post(receiver, timeout_s=SHORT_S) == Answer(202)
    assert SHORT_S <= time.monotonic() - begun < 10 * SHORT_S
    await receiver.ended.wait()


async def test_who_never_answers_is_waited_for_no_longer(receiver: Receiver) -> None:
    async def say_nothing(received: Received, _: asyncio.StreamWriter) -> None:
        await received.until_gone()

    receiver.script = say_nothing
    assert (await failure(receiver, timeout_s=SHORT_S)).kind is FailureKind.TIMED_OUT
    await receiver.ended.wait()


async def test_who_never_reads_is_waited_for_no_longer() -> None:
    connected = asyncio.Event()

    def read_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a transport that both reads and writes
        kept.append(writer)
        connected.set()

    kept: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(read_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, WebhookClient(allowed=LOOPBACK, timeout_s=SHORT_S) as client:
        with pytest.raises(WebhookFailure) as refusal:
            await client.post(f"http://127.0.0.1:{port}/", b"x" * 50_000_000, {})
        assert refusal.value.kind is FailureKind.TIMED_OUT
        assert connected.is_set()
        for writer in kept:
            writer.transport.abort()


async def test_where_nobody_listens_nothing_is_connected(receiver: Receiver) -> None:
    async with Receiver().open() as gone:
        port = gone.port
    async with WebhookClient(allowed=LOOPBACK) as client:
        with pytest.raises(WebhookFailure) as refusal:
            await client.post(f"http://127.0.0.1:{port}/", BODY, {})
    assert refusal.value.kind is FailureKind.NOT_CONNECTED
    assert receiver.connections == 0


@pytest.mark.parametrize("bad", ["http://127.0.0.1:{port}/", "https://10.0.0.1/", "https://localhost/", "nonsense"])
async def test_a_url_is_judged_by_what_is_allowed_now(receiver: Receiver, bad: str) -> None:
    async with WebhookClient(allowed=AllowList()) as client:
        with pytest.raises(WebhookFailure) as refusal:
            await client.post(bad.format(port=receiver.port), BODY, {})
        with pytest.raises(WebhookFailure):
            await client.post(check_url(url(receiver), LOOPBACK), BODY, {})
    assert refusal.value.kind is FailureKind.URL_REFUSED
    assert receiver.connections == 0


async def test_an_endpoint_that_hangs_holds_up_no_other_and_none_of_its_own(receiver: Receiver) -> None:
    hanging = asyncio.Event()

    async def hang_at_first(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.body == b"slow":
            if sum(one.body == b"slow" for one in receiver.received) == 300:
                hanging.set()
            await received.until_gone()
        writer.write(CONTENT)

    receiver.script = hang_at_first
    async with Receiver().open() as other, WebhookClient(allowed=LOOPBACK) as client:
        slow = [asyncio.create_task(client.post(url(receiver), b"slow", {})) for _ in range(300)]
        await hanging.wait()
        assert await client.post(url(other), b"quick", {}) == Answer(200)
        assert await client.post(url(receiver), b"quick", {}) == Answer(200)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_who_is_cancelled_leaves_no_connection(receiver: Receiver) -> None:
    arrived = asyncio.Event()

    async def hang(received: Received, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await received.until_gone()

    receiver.script = hang
    async with WebhookClient(allowed=LOOPBACK) as client:
        task = asyncio.create_task(client.post(url(receiver), BODY, {}))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.ended.wait()
    gc.collect()  # a socket that was left open would warn, and a warning is an error


async def test_a_call_that_outlives_the_client_leaves_no_connection(receiver: Receiver) -> None:
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def answer_late(_: Received, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await answer.wait()
        writer.write(CONTENT)

    receiver.script = answer_late
    async with WebhookClient(allowed=LOOPBACK) as client:
        task = asyncio.create_task(client.post(url(receiver), BODY, {}))
        await arrived.wait()
    answer.set()
    assert await task == Answer(200)
    await receiver.ended.wait()


async def test_an_allowed_name_is_found_in_the_hosts_file(receiver: Receiver) -> None:
    async with WebhookClient(allowed=LOOPBACK) as client:
        assert await client.post(f"http://localhost:{receiver.port}/", BODY, {}) == Answer(200)
    assert receiver.received[0].headers["host"] == f"localhost:{receiver.port}"
