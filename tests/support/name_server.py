"""A name server on loopback that answers as it is told: for every question the next of a list, without any lifetime."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

from typing_extensions import override

KINDS = {1: 4, 28: 6}
"""The number of A and of AAAA, and the version of the addresses that each asks for."""

HEADER_BYTES = 12
ANSWERED = 0x8180
NO_SUCH_NAME = 0x8183


class NameServer(asyncio.DatagramProtocol):
    """Knows `names`, each with what it says the first time, the second and so on; the last it says for ever.

    To names in `silent`, each with the version of the addresses that are wanted, it says nothing.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[Sequence[str]]] = {}
        self.silent: set[tuple[str, int]] = set()
        self.asked: list[tuple[str, int]] = []
        """Names, each with the version of the addresses that were wanted."""
        self.address = ""
        self._transport: asyncio.DatagramTransport | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["NameServer"]:
        """Answer until the block ends, at `address`."""
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.address = f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"
        try:
            yield self
        finally:
            self._transport.close()

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _name(data)
        (kind,) = struct.unpack_from("!H", data, end)
        version = KINDS[kind]
        self.asked.append((name, version))
        if (name, version) in self.silent:
            return
        times = self.asked.count((name, version)) - 1
        said = self.names.get(name)
        addresses = [] if said is None else [ip_address(text) for text in said[min(times, len(said) - 1)]]
        records = [
            struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
            for address in addresses
            if address.version == version
        ]
        flags = NO_SUCH_NAME if said is None else ANSWERED
        header = data[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        assert self._transport is not None
        self._transport.sendto(header + data[HEADER_BYTES : end + 4] + b"".join(records), addr)


def _name(data: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends."""
    labels, at = [], HEADER_BYTES
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels), at + 1
