"""The ledger: what was sent against what is found afterwards. Pure; an empty list of faults means all is in order."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

Key = tuple[UUID, datetime]
"""A meter installation and a time: what makes a reading one."""

SHOWN = 3


class Refused(NamedTuple):
    """A reading that belongs in quarantine."""

    gateway_id: str
    reason: str
    original: str


class Correction(NamedTuple):
    """A value that was replaced."""

    key: Key
    old: float
    new: float


class Told(NamedTuple):
    """What the events said of an installation: its newest reading, and how many in all."""

    newest: datetime
    readings: int


@dataclass(frozen=True)
class Sent:
    """A message that the broker has confirmed, in the order of sending, and where all that it says belongs.

    `dead` means that it belongs in `dead-letters`, whole. `may_be_gone` means that it was lost with its queue, unless
    it was in hand already.
    """

    routing_key: str
    body: bytes
    accepted: tuple[tuple[Key, float], ...] = ()
    refused: tuple[Refused, ...] = ()
    dead: bool = False
    may_be_gone: bool = False

    def as_dead_letter(self) -> Self:
        """The same where it belongs in `dead-letters` for a reason that is not in it."""
        return replace(self, accepted=(), refused=(), dead=True)

    def if_not_gone(self) -> Self:
        """The same where it may be lost with its queue."""
        return replace(self, may_be_gone=True)


@dataclass
class Found:
    """What is there when all has been consumed."""

    readings: dict[Key, float] = field(default_factory=dict)
    corrections: list[Correction] = field(default_factory=list)
    quarantined: dict[Refused, int] = field(default_factory=dict)
    dead_letters: Counter[bytes] = field(default_factory=Counter)
    told: dict[UUID, Told] = field(default_factory=dict)
    fed: Counter[tuple[Key, float]] = field(default_factory=Counter)
    """What the feed of changes tells, from the first to the last."""


def faults(sent: Iterable[Sent], found: Found, *, stamped: bool) -> list[str]:
    """What is lost, there twice, made up or untold, one line each.

    `stamped` says whether the broker tells when it accepted a message: then the last value that was sent must stand.
    Without, a message that was delivered again corrects nothing, and any value that was sent may.
    """
    sent = list(sent)
    return [
        *_in_readings(sent, found, stamped=stamped),
        *_in_quarantine(sent, found),
        *_in_dead_letters(sent, found),
        *_in_events(sent, found),
        *_in_feed(found),
    ]


def _in_readings(sent: list[Sent], found: Found, *, stamped: bool) -> Iterator[str]:
    values: defaultdict[Key, list[float]] = defaultdict(list)
    for message in sent:
        for key, value in message.accepted:
            values[key].append(value)
    needed = {key for message in sent if not message.may_be_gone for key, _ in message.accepted}
    yield from _report("readings lost", needed - found.readings.keys())
    yield from _report("readings that nobody sent", found.readings.keys() - values.keys())
    yield from _report(
        "readings with a wrong value",
        (
            (key, stored)
            for key, stored in found.readings.items()
            if key in values and stored not in (values[key][-1:] if stamped else values[key])
        ),
    )
    yield from _report("corrections there twice", (it for it, n in Counter(found.corrections).items() if n > 1))
    yield from _report(
        "corrections of what nobody sent",
        (it for it in found.corrections if it.key not in values or not {it.old, it.new} <= set(values[it.key])),
    )
    yield from _report(
        "corrections of what was sent with one value", (it for it in found.corrections if len(set(values[it.key])) == 1)
    )


def _in_quarantine(sent: list[Sent], found: Found) -> Iterator[str]:
    expected = Counter(refused for message in sent for refused in message.refused)
    yield from _report("refused readings lost", expected.keys() - found.quarantined.keys())
    yield from _report("refused readings that nobody sent", found.quarantined.keys() - expected.keys())
    yield from _report(
        "refused readings counted less often than sent",
        (it for it, times in expected.items() if found.quarantined.get(it, times) < times),
    )


def _in_dead_letters(sent: list[Sent], found: Found) -> Iterator[str]:
    expected = Counter(message.body for message in sent if message.dead)
    yield from _report("dead letters lost", expected - found.dead_letters)
    yield from _report("messages that should not be dead letters", found.dead_letters.keys() - expected.keys())


def _in_events(sent: list[Sent], found: Found) -> Iterator[str]:
    keys = {key for message in sent for key, _ in message.accepted if not message.may_be_gone}
    newest = _newest(keys)
    newest_ever = _newest(key for message in sent for key, _ in message.accepted)
    counts = Counter(installation for installation, _ in keys)
    told = found.told
    yield from _report("installations that no event told of", newest.keys() - told.keys())
    yield from _report(
        "installations of whose newest reading no event told",
        (it for it, time in newest.items() if it in told and told[it].newest < time),
    )
    yield from _report(
        "installations told of with readings that nobody sent",
        (it for it, last in told.items() if it not in newest_ever or last.newest > newest_ever[it]),
    )
    yield from _report(
        "installations of which not every reading was told",
        (it for it, count in counts.items() if it in told and told[it].readings < count),
    )


def _in_feed(found: Found) -> Iterator[str]:
    """It must tell what is stored, whatever that is."""
    stored = Counter(found.readings.items())
    yield from _report("stored readings that the feed does not tell", stored - found.fed)
    yield from _report("readings that the feed tells twice or otherwise than they are stored", found.fed - stored)


def _newest(keys: Iterable[Key]) -> dict[UUID, datetime]:
    newest: dict[UUID, datetime] = {}
    for installation, time in keys:
        newest[installation] = max(time, newest.get(installation, time))
    return newest


def _report(what: str, cases: Iterable[object]) -> Iterator[str]:
    cases = list(cases)
    if cases:
        shown = ", ".join(str(case)[:200] for case in cases[:SHOWN])
        yield f"{len(cases)} {what}: {shown}{', …' if len(cases) > SHOWN else ''}"
