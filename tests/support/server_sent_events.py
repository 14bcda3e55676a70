"""A client of server-sent events, as the HTML standard (9.2.6) says that one reads them."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    """What is dispatched: its type, its data, and the id to go on from."""

    type: str
    data: Any
    id: str


class EventSource:
    """The events of an answer that is under way."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.last_event_id = ""
        self.reconnect_ms = 0
        self.comments = 0
        self._source = answer.aiter_lines()
        self._events = self._read()

    async def take(self, count: int = 1) -> list[Event]:
        """The next so many."""
        return [await anext(self._events) for _ in range(count)]

    async def rest(self) -> list[Event]:
        """All until the stream ends."""
        return [event async for event in self._events]

    async def place(self) -> str:
        """Read up to where it says from where to go on, before any event."""
        async for line in self._lines():
            assert not line.startswith("data:"), line
            if self.last_event_id:
                break
        return self.last_event_id

    async def until_comment(self) -> None:
        """Read up to the next comment; an event before it is none that the test expects."""
        comments = self.comments
        async for line in self._lines():
            assert not line.startswith("data:"), line
            if self.comments > comments and not line:
                return

    async def close(self) -> None:
        """Leave it."""
        await self._events.aclose()
        await self.answer.aclose()

    async def _read(self) -> AsyncGenerator[Event]:
        kind, data = "message", list[str]()
        async for line in self._lines():
            field, _, value = line.partition(": ")
            if not line:
                if data:
                    yield Event(kind, json.loads("\n".join(data)), self.last_event_id)
                kind, data = "message", []
            elif field == "event":
                kind = value
            elif field == "data":
                data.append(value)

    async def _lines(self) -> AsyncIterator[str]:
        async for line in self._source:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_event_id = value
            elif field == "retry":
                self.reconnect_ms = int(value)
            elif field == "":
                self.comments += bool(line)
            yield line


@asynccontextmanager
async def listening(client: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> AsyncIterator[EventSource]:
    """Connected, and up to where that told from where to go on."""
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield EventSource(answer)
