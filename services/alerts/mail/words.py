"""Which words a mail needs: a language that lacks one is refused by the type checker. Pure.

Names in braces are filled in; a text has the same ones in each language.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.models import Medium


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A text about one, and about several; `{count}` is the number as the language writes it."""

    one: str
    other: str


@dataclass(frozen=True, kw_only=True)
class DigestWords:
    """What has happened."""

    meter_silent: str
    meters_silent: Counted
    meter_heard: str
    meters_heard: Counted
    gateway_silent: str
    gateways_silent: Counted
    gateway_heard: str
    gateways_heard: Counted
    silent: str
    """Of gateways and meters both, as is `heard_again`: a list of their numbers follows."""
    heard_again: str
    silent_gateways: str
    silent_meters: str
    gateways_heard_again: str
    meters_heard_again: str
    not_one_by_one: str
    """Said of a silent gateway's meters."""


@dataclass(frozen=True, kw_only=True)
class ReminderWords:
    """What is still open."""

    meter_still_silent: str
    meters_still_silent: Counted
    gateway_still_silent: str
    gateways_still_silent: Counted
    both_still_silent: str
    still_silent: str


@dataclass(frozen=True, kw_only=True)
class EntryWords:
    """A meter or a gateway, line by line."""

    meter: str
    gateway: str
    by_gateway: str
    silent_since: str
    silent_since_for: str
    never_heard: str
    last_reading: str
    last_reading_and_battery: str
    last_heard: str
    heard_again_after: str
    gateway_heard_again_by: str
    to_hear: str
    to_hear_in: str
    more: str


@dataclass(frozen=True, kw_only=True)
class TrialWords:
    """A mail that somebody asked for, to see whether mail arrives."""

    subject: str
    it_works: str
    of_subscription: str
    asked_for: str


@dataclass(frozen=True, kw_only=True)
class DisabledWords:
    """Another subscription takes no alerts any more."""

    subject: str
    what: str
    to_host: str
    why: str
    nothing_is_sent: str


@dataclass(frozen=True, kw_only=True)
class UnsubscribeWords:
    """The page that a mail's link leads to, where one click ends the subscription."""

    ask: str
    ended: str
    again: str
    """Said when it has ended: how mails come again."""
    unknown: str
    """Said where the link leads to no subscription."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """All that mails say in one language."""

    locale: str
    """By which numbers, times and lists are written (CLDR)."""
    media: Mapping[Medium, str]
    hca: Counted
    """Units of a heat cost allocator, which have no symbol."""
    meters: Counted
    gateways: Counted
    properties: Counted
    in_properties: Counted
    digest: DigestWords
    reminder: ReminderWords
    entry: EntryWords
    trial: TrialWords
    disabled: DisabledWords
    kinds: Mapping[str, str]
    """Of subscriptions."""
    times_are_in: str
    why_you: str
    unsubscribe: str
    unsubscribing: UnsubscribeWords
