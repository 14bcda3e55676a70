"""Sums of what several counters say, bucket by bucket: with how many they are of, and how many of them say nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from services.query.rules.chains import Chain
from services.query.rules.counter import Amount, Flag


@dataclass(slots=True)
class Sum:
    """What `meters` used together, in millionths, without the `unknown` ones among them. The flags are of any."""

    micros: int = 0
    meters: int = 0
    unknown: int = 0
    flags: set[Flag] = field(default_factory=set)

    def add(self, amount: Amount) -> None:
        """One meter more."""
        self.meters += 1
        self.flags |= amount.flags
        if amount.micros is None:
            self.unknown += 1
        else:
            self.micros += amount.micros

    @property
    def amount(self) -> Amount:
        """Of all together; None where nothing is known of any."""
        if self.meters == 0:
            return Amount(None, frozenset({Flag.NO_DATA}))
        return Amount(self.micros if self.unknown < self.meters else None, frozenset(self.flags))


class Sums:
    """A sum for each bucket between `edges`. A chain of meters counts in those in which it was mounted."""

    def __init__(self, edges: Sequence[datetime]) -> None:
        self._edges = edges
        self.buckets = [Sum() for _ in edges[1:]]

    def add(self, chain: Chain, amounts: Sequence[Amount]) -> None:
        """What one chain used in each of the buckets."""
        mounted, removed = chain[0].meter.installed_at, chain[-1].meter.deleted_at
        for (start, end), bucket, amount in zip(pairwise(self._edges), self.buckets, amounts, strict=True):
            was_there = mounted < end and (removed is None or removed > start)
            if was_there or amount.micros is not None:
                bucket.add(amount)
