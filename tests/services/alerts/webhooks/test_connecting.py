"""Names that lead elsewhere, and certificates that are not to be trusted: real DNS and TLS, on loopback."""

import asyncio
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from httpcore2 import AnyIOBackend, ReadError

from services.alerts.webhooks.allow_list import AllowList, parse_allow_list
from services.alerts.webhooks.client import WebhookClient
from services.alerts.webhooks.connecting import EndpointStream
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.outcomes import Answer
from tests.services.alerts.webhooks.receiver import Receiver, answering
from tests.support.name_server import NameServer

NAME = "hooks.customer.com"
PUBLIC = "93.184.215.14"
"""Nothing is ever sent there."""


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


def serving(ca: trustme.CA, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def post(
    name_server: NameServer,
    port: int,
    *,
    allowed: AllowList,
    ca: trustme.CA | None = None,
    host: str = NAME,
    timeout_s: float = 15.0,
) -> Answer | WebhookFailure:
    context = None if ca is None else trusting(ca)
    async with WebhookClient(
        allowed=allowed, ssl_context=context, nameservers=[name_server.address], timeout_s=timeout_s
    ) as client:
        try:
            return await client.post(f"https://{host}:{port}/", b"{}", {})
        except WebhookFailure as failure:
            return failure


async def refused(name_server: NameServer, port: int, *, allowed: AllowList) -> FailureKind:
    failure = await post(name_server, port, allowed=allowed)
    assert isinstance(failure, WebhookFailure)
    return failure.kind


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["0.0.0.0"],
        ["::"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC, "fd00::1"],
    ],
)
async def test_a_name_with_one_address_that_is_not_public_is_not_connected_to_at_all(
    receiver: Receiver, name_server: NameServer, addresses: list[str]
) -> None:
    name_server.names[NAME] = [addresses]
    assert await refused(name_server, receiver.port, allowed=AllowList()) is FailureKind.ADDRESS_REFUSED
    assert receiver.connections == 0
    assert sorted(name_server.asked) == [(NAME, 4), (NAME, 6)]


async def test_a_name_that_leads_elsewhere_the_second_time_is_looked_up_once(
    ca: trustme.CA, name_server: NameServer
) -> None:
    """127.0.0.2 stands for the public address; at 127.0.0.1, on the same port, is what must not be reached."""
    name_server.names[NAME] = [["127.0.0.2"], ["127.0.0.1"]]
    allowed = parse_allow_list("127.0.0.2")
    async with (
        Receiver(tls=serving(ca, NAME), host="127.0.0.2").open() as judged,
        Receiver(tls=serving(ca, NAME), port=judged.port).open() as internal,
    ):
        assert await post(name_server, judged.port, allowed=allowed, ca=ca) == Answer(200)
        assert sorted(name_server.asked) == [(NAME, 4), (NAME, 6)]
        assert await refused(name_server, judged.port, allowed=allowed) is FailureKind.ADDRESS_REFUSED
        assert (judged.connections, internal.connections) == (1, 0)


async def test_an_allowed_name_may_lead_to_internal_addresses(ca: trustme.CA, name_server: NameServer) -> None:
    name_server.names[NAME] = [["127.0.0.1"]]
    async with Receiver(tls=serving(ca, NAME)).open() as receiver:
        allowed = parse_allow_list(f"{NAME}:{receiver.port}")
        assert await post(name_server, receiver.port, allowed=allowed, ca=ca) == Answer(200)
        other_port = parse_allow_list(f"{NAME}:{receiver.port - 1}")
        assert await refused(name_server, receiver.port, allowed=other_port) is FailureKind.ADDRESS_REFUSED


async def test_the_next_address_is_tried_where_nobody_listens_at_the_first(
    ca: trustme.CA, name_server: NameServer
) -> None:
    name_server.names[NAME] = [["127.0.0.2", "127.0.0.3", "127.0.0.1"]]
    async with Receiver(tls=serving(ca, NAME)).open() as receiver:
        allowed = parse_allow_list("127.0.0.0/8")
        assert await post(name_server, receiver.port, allowed=allowed, ca=ca) == Answer(200)


async def test_of_many_addresses_only_the_first_are_tried(name_server: NameServer) -> None:
    name_server.names[NAME] = [["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.1"]]
    async with Receiver().open() as receiver:
        kind = await refused(name_server, receiver.port, allowed=parse_allow_list("127.0.0.0/8"))
        assert kind is FailureKind.NOT_CONNECTED
        assert receiver.connections == 0


async def test_a_name_that_is_not_there_or_has_no_address_is_not_resolved(name_server: NameServer) -> None:
    assert await refused(name_server, 443, allowed=AllowList()) is FailureKind.NAME_NOT_RESOLVED
    name_server.names[NAME] = [[]]
    assert await refused(name_server, 443, allowed=AllowList()) is FailureKind.NAME_NOT_RESOLVED


@pytest.mark.parametrize("allowed", ["", NAME])
async def test_a_name_server_that_is_silent_is_waited_for_within_the_time_for_all(
    name_server: NameServer, allowed: str
) -> None:
    name_server.silent |= {(NAME, 4), (NAME, 6)}
    begun = time.monotonic()
    failure = await post(name_server, 443, allowed=parse_allow_list(allowed), timeout_s=0.3)
    assert isinstance(failure, WebhookFailure)
    assert failure.kind is FailureKind.TIMED_OUT
    assert time.monotonic() - begun < 3
    assert name_server.asked


async def test_a_name_that_nobody_answers_for_holds_up_no_other(ca: trustme.CA, name_server: NameServer) -> None:
    name_server.silent |= {("silent.customer.com", 4), ("silent.customer.com", 6)}
    name_server.names[NAME] = [["127.0.0.1"]]
    async with (
        Receiver(tls=serving(ca, NAME)).open() as receiver,
        WebhookClient(
            allowed=parse_allow_list("127.0.0.1"), ssl_context=trusting(ca), nameservers=[name_server.address]
        ) as client,
    ):
        stuck = asyncio.create_task(client.post("https://silent.customer.com/", b"{}", {}))
        assert await client.post(f"https://{NAME}:{receiver.port}/", b"{}", {}) == Answer(200)
        assert not stuck.done()
        stuck.cancel()
        await asyncio.wait([stuck])


@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
async def test_a_certificate_is_verified_by_the_name_of_the_url(
    ca: trustme.CA, name_server: NameServer, host: str
) -> None:
    name_server.names[NAME] = [["127.0.0.1"]]
    async with Receiver(tls=serving(ca, host)).open() as receiver:
        assert await post(
            name_server, receiver.port, allowed=parse_allow_list("127.0.0.1"), ca=ca, host=host
        ) == Answer(200)


async def untrusted(name_server: NameServer, context: ssl.SSLContext, ca: trustme.CA | None) -> str:
    name_server.names[NAME] = [["127.0.0.1"]]
    async with Receiver(tls=context).open() as receiver:
        failure = await post(name_server, receiver.port, allowed=parse_allow_list("127.0.0.1"), ca=ca)
        assert isinstance(failure, WebhookFailure)
        assert failure.kind is FailureKind.TLS
        assert receiver.received == []
        return str(failure)


async def test_a_certificate_for_another_name_is_refused(ca: trustme.CA, name_server: NameServer) -> None:
    text = await untrusted(name_server, serving(ca, "other.customer.com", "127.0.0.1"), ca)
    assert text.endswith(f"Hostname mismatch, certificate is not valid for '{NAME}'.")


async def test_a_certificate_that_has_expired_is_refused(ca: trustme.CA, name_server: NameServer) -> None:
    expired = serving(ca, NAME, not_after=datetime.now(UTC) - timedelta(days=1))
    assert (await untrusted(name_server, expired, ca)).endswith("certificate has expired.")


async def test_a_certificate_of_an_unknown_issuer_is_refused(ca: trustme.CA, name_server: NameServer) -> None:
    assert "not to be trusted" in await untrusted(name_server, serving(trustme.CA(), NAME), ca)
    assert "not to be trusted" in await untrusted(name_server, serving(trustme.CA(), NAME), None)


async def test_who_speaks_no_tls_is_refused(ca: trustme.CA, name_server: NameServer) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2 internal\r\n")
        await writer.drain()
        writer.close()

    name_server.names[NAME] = [["127.0.0.1"]]
    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        failure = await post(name_server, port, allowed=parse_allow_list("127.0.0.1"), ca=ca)
    assert isinstance(failure, WebhookFailure)
    assert (failure.kind, str(failure)) == (
        FailureKind.TLS,
        "The endpoint and we agreed on no way to speak TLS.",
    )


async def test_who_wants_a_certificate_of_ours_gives_no_answer(ca: trustme.CA, name_server: NameServer) -> None:
    name_server.names[NAME] = [["127.0.0.1"]]
    context = serving(ca, NAME)
    context.verify_mode = ssl.CERT_REQUIRED  # by TLS 1.3 a client hears of it when it reads
    ca.configure_trust(context)
    async with Receiver(tls=context).open() as receiver:
        failure = await post(name_server, receiver.port, allowed=parse_allow_list("127.0.0.1"), ca=ca)
    assert isinstance(failure, WebhookFailure)
    assert failure.kind is FailureKind.NO_ANSWER


async def test_an_answer_that_breaks_off_is_told_from_one_that_never_began() -> None:
    async with Receiver(answering(b"HTTP/1.1")).open() as receiver:
        stream = EndpointStream(await AnyIOBackend().connect_tcp("127.0.0.1", receiver.port))
        await stream.write(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert await stream.read(100) == b"HTTP/1.1"
        receiver.reset()
        with pytest.raises(ReadError):
            await stream.read(100)
        await stream.aclose()


async def test_a_handshake_that_hangs_ends_in_time_and_leaves_no_connection(
    ca: trustme.CA, name_server: NameServer
) -> None:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()
        ended.set()

    name_server.names[NAME] = [["127.0.0.1"]]
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        failure = await post(name_server, port, allowed=parse_allow_list("127.0.0.1"), ca=ca, timeout_s=0.3)
        await ended.wait()
    assert isinstance(failure, WebhookFailure)
    assert failure.kind is FailureKind.TIMED_OUT
