"""What a mail shows, in finished words: its templates lay it out as text and as HTML, and decide nothing. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A meter or a gateway: what it is, and what there is to say of it."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Entries of one property, which names it; those of gateways have no heading."""

    heading: str
    address: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Section:
    """Groups of one kind of news; `more` says how many entries were left out."""

    heading: str
    groups: tuple[Group, ...]
    more: str = ""
    note: str = ""


@dataclass(frozen=True)
class Link:
    """Where a click leads."""

    text: str
    url: str


@dataclass(frozen=True)
class Page:
    """All of a mail."""

    language: str
    subject: str
    paragraphs: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    unsubscribe: Link | None
