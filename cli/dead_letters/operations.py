"""Looks through the dead letters, and replays or discards those that are meant."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cli.confirmed import publish
from cli.dead_letters.letter import DeadLetter, replay_of
from cli.dead_letters.queue import DeadLetterQueue
from cli.dead_letters.selection import Selection
from cli.progress import Advance, bar
from shared.clock import Clock


@dataclass
class Found:
    """What a look found: how many it looked at of how many, the first of those meant, and all of them by reason."""

    in_queue: int
    looked_at: int = 0
    letters: list[DeadLetter] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


async def find(url: str, selected: Selection, *, keep: int, look_at: int | None = None) -> Found:
    """Look at the oldest `look_at`, or all; `keep` so many of those meant. All of them stay where they are."""
    async with DeadLetterQueue.open(url) as queue:
        found = Found(queue.length)
        with _looking(queue, look_at) as advance:
            async for message in queue.take(look_at):
                found.looked_at += 1
                letter = DeadLetter.of(message)
                if selected.means(letter):
                    found.counts[_kind(letter.reason)] += 1
                    found.ids.add(letter.id)
                    if len(found.letters) < keep:
                        found.letters.append(letter)
                advance(1)
    return found


async def find_one(url: str, id_: str) -> DeadLetter | None:
    """The oldest dead letter with this id; it stays where it is."""
    async with DeadLetterQueue.open(url) as queue:
        with _looking(queue, None) as advance:
            async for message in queue.take():
                letter = DeadLetter.of(message)
                if letter.id == id_:
                    return letter
                advance(1)
    return None


async def replay(url: str, selected: Selection, clock: Clock) -> tuple[int, int]:
    """Send those meant to where they came from, each once; how many were, and of how many nobody knows where to."""
    replayed = homeless = 0
    async with DeadLetterQueue.open(url) as queue:
        with _looking(queue, None) as advance:
            async for message in queue.take():
                letter = DeadLetter.of(message)
                if selected.means(letter):
                    if letter.exchange is not None and letter.can_be_replayed:
                        again = replay_of(letter, message, clock())
                        await publish(queue.channel, again, exchange=letter.exchange, routing_key=letter.routing_key)
                        await message.ack()
                        replayed += 1
                    else:
                        homeless += 1
                advance(1)
    return replayed, homeless


async def discard(url: str, selected: Selection) -> int:
    """Delete those meant, for ever; returns how many there were."""
    discarded = 0
    async with DeadLetterQueue.open(url) as queue:
        with _looking(queue, None) as advance:
            async for message in queue.take():
                if selected.means(DeadLetter.of(message)):
                    await message.ack()
                    discarded += 1
                advance(1)
    return discarded


@contextmanager
def _looking(queue: DeadLetterQueue, most: int | None) -> Iterator[Advance]:
    with bar("looked at", queue.length if most is None else min(most, queue.length)) as advance:
        yield advance


def _kind(reason: str) -> str:
    """A reason without what is of one message only."""
    return reason.partition(":")[0]
