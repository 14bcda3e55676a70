"""A gateway that speaks MQTT, with a client as gateways have it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from socket import SHUT_RDWR, socket
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shared import topology
from tests.support.messages import queue_length
from tests.support.vhosts import Vhost

TIMEOUT_S = 20


class NoMqttError(Exception):
    """The broker does not speak MQTT as the project needs it; the text says what is missing."""


class RefusedError(Exception):
    """The broker refused the login or a subscription; the text is its reason."""


class DisconnectedError(Exception):
    """The broker ended the connection; the text is its reason, where it gave one."""


@dataclass(frozen=True)
class Will:
    """What the broker shall publish when the client is gone without a word."""

    topic: str
    body: bytes


class MqttGateway:
    """One connection; the client's thread is heard in the event loop that made it."""

    def __init__(self, protocol: MQTTProtocolVersion, *, client_id: str, stays: bool, answer_timeout_s: float) -> None:
        self._answer_timeout_s = answer_timeout_s
        is_5 = protocol == MQTTv5
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if is_5 else not stays,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        self._stays = stays
        self._is_5 = is_5
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe

    @classmethod
    @asynccontextmanager
    async def connected(
        cls,
        url: str,
        *,
        username: str | None,
        password: str | None,
        protocol: MQTTProtocolVersion,
        client_id: str = "",
        stays: bool = False,
        will: Will | None = None,
        answer_timeout_s: float = TIMEOUT_S,
    ) -> AsyncIterator[Self]:
        """Logged in until the block ends; `RefusedError` where it is not let in.

        `stays` asks for a session that outlives the connection.
        """
        gateway = cls(protocol, client_id=client_id, stays=stays, answer_timeout_s=answer_timeout_s)
        if username is not None:
            gateway._client.username_pw_set(username, password)
        if will is not None:
            gateway._client.will_set(will.topic, will.body, qos=1)
        await gateway._open(url)
        try:
            await asyncio.wait_for(gateway._connected, TIMEOUT_S)
            yield gateway
        finally:
            await asyncio.to_thread(gateway._close)

    async def publish(
        self,
        topic: str,
        body: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        user_properties: Mapping[str, str] | None = None,
    ) -> str:
        """The reason of the broker's PUBACK, such as `Success`; before MQTT 5 it has no other.

        `DisconnectedError` where the broker ends the connection instead, `TimeoutError` where it says nothing.
        """
        properties: Properties | None = None
        if user_properties:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.UserProperty = list(user_properties.items())
        message = self._client.publish(topic, body, qos=qos, retain=retain, properties=properties)
        return str(await self._answer(message.mid))

    async def subscribe(self, topic: str) -> None:
        """Subscribe; `RefusedError` where that is not allowed."""
        _, mid = self._client.subscribe(topic, qos=1)
        reason = await self._answer(mid or 0)
        if reason.is_failure:
            raise RefusedError(str(reason))

    def drop(self) -> None:
        """Break the connection without a word."""
        if (found := self._client.socket()) is not None:
            cast("socket", found).shutdown(SHUT_RDWR)

    async def ended(self) -> str:
        """Wait until the connection has ended: the broker's reason."""
        return await asyncio.wait_for(asyncio.shield(self._ended), TIMEOUT_S)

    async def _open(self, url: str) -> None:
        parts = urlsplit(url)
        more: dict[str, Any] = {}
        if self._is_5:
            lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            lasting.SessionExpiryInterval = 60 if self._stays else 0
            more = {"clean_start": not self._stays, "properties": lasting}
        await asyncio.to_thread(self._client.connect, parts.hostname or "", parts.port or 1883, 30, **more)
        self._client.loop_start()

    def _close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    async def _answer(self, mid: int) -> ReasonCode:
        answer = self._answer_to(mid)
        async with asyncio.timeout(self._answer_timeout_s):
            await asyncio.wait((answer, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise DisconnectedError(self._ended.result())

    def _answer_to(self, mid: int) -> asyncio.Future[ReasonCode]:
        return self._answers.setdefault(mid, self._loop.create_future())

    # What follows runs in the client's thread.

    def _on_connect(
        self, _client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        def tell() -> None:
            if self._connected.done():
                return
            if reason.is_failure:
                self._connected.set_exception(RefusedError(str(reason)))
            else:
                self._connected.set_result(None)

        self._loop.call_soon_threadsafe(tell)

    def _on_disconnect(
        self, _client: Client, _: object, __: DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        def tell() -> None:
            if not self._ended.done():
                self._ended.set_result(str(reason))
            if not self._connected.done():
                self._connected.set_exception(RefusedError(str(reason)))

        self._loop.call_soon_threadsafe(tell)

    def _on_publish(self, _client: Client, _: object, mid: int, reason: ReasonCode, __: Properties | None) -> None:
        self._loop.call_soon_threadsafe(lambda: self._answer_to(mid).set_result(reason))

    def _on_subscribe(
        self, _client: Client, _: object, mid: int, reasons: list[ReasonCode], __: Properties | None
    ) -> None:
        self._loop.call_soon_threadsafe(lambda: self._answer_to(mid).set_result(reasons[0]))


@dataclass(frozen=True)
class Mqtt:
    """One version of MQTT on the broker, and the virtual host that accounts are let into."""

    url: str
    vhost: str
    version: MQTTProtocolVersion

    def connected(self, username: str, password: str, **more: Any) -> AbstractAsyncContextManager[MqttGateway]:
        """A gateway that has logged in."""
        return MqttGateway.connected(
            self.url, username=f"{self.vhost}:{username}", password=password, protocol=self.version, **more
        )

    @property
    def is_5(self) -> bool:
        return self.version == MQTTProtocolVersion.MQTTv5


async def spoken_versions(url: str, vhost: Vhost) -> dict[str, MQTTProtocolVersion]:
    """The versions that the broker speaks; `NoMqttError` unless topics are keys on the exchange of the gateways."""
    versions = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
    parts = urlsplit(vhost.url)
    login = unquote(parts.username or ""), unquote(parts.password or "")
    spoken = {}
    for name, version in versions.items():
        try:
            async with Mqtt(url, vhost.name, version).connected(*login) as administrator:
                await administrator.publish("gateways/PROBE/readings", b"")
        except OSError as error:
            raise NoMqttError(f"nothing speaks MQTT at {urlsplit(url).netloc}: {error}") from error
        except RefusedError:
            continue
        spoken[name] = version
    if await queue_length(vhost.url, topology.INGEST_READINGS) < len(spoken):
        raise NoMqttError("the broker's `mqtt.exchange` is not `gateways`")
    if not spoken:
        raise NoMqttError("the broker lets nobody in over MQTT")
    return spoken
