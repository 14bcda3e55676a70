"""Reads messages of wmbusmeters: one JSON object a telegram, or a list of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from services.ingest.fields import fault_of_time, shown
from services.ingest.json_text import JsonText, NotJsonError
from services.ingest.payload import NotAMessageError, bounded
from services.ingest.reasons import Reason, Refused
from shared.messages.gateway import MAX_MESSAGE_BYTES

FULL_IDENTITY = re.compile(r"([0-9A-Fa-f]{8})\.M=.*", re.DOTALL)
"""With `identitymode=full` wmbusmeters writes manufacturer, version and type too: `12345678.M=KAM.V=1b.T=16`."""


@dataclass(frozen=True)
class Telegram:
    """A telegram that says which meter it is of and when it was received; `gateway_id` is whom it claims to be from.

    `time` is what `timestamp` says.
    """

    serial: str
    timestamp: str
    time: datetime
    fields: Mapping[str, object]
    gateway_id: str | None

    @property
    def spellings(self) -> Sequence[str]:
        """The serials to look for: as it was sent, else in lower or in upper case.

        wmbusmeters writes the hexadecimal digits of an id in lower case, whatever the meter's label shows.
        """
        return tuple(dict.fromkeys((self.serial, self.serial.lower(), self.serial.upper())))


@dataclass(frozen=True)
class SentTelegrams:
    """A message's telegrams in their order, those that are none as `Refused`."""

    telegrams: Sequence[Telegram | Refused]
    body: bytes

    @property
    def count(self) -> int:
        """How many telegrams the message was found to hold."""
        return len(self.telegrams)

    @property
    def spellings(self) -> Iterator[str]:
        """The serials to look for."""
        for telegram in self.telegrams:
            if isinstance(telegram, Telegram):
                yield from telegram.spellings

    def originals(self) -> list[str]:
        """The text of each telegram as it was sent."""
        return [element.text for element in _elements(JsonText.parse(self.body))]


def parse(body: bytes) -> SentTelegrams:
    """Read a message. Raises `NotAMessageError` for what is neither object nor list, too large, too deep, not JSON."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise NotAMessageError(f"{len(body)} bytes, more than {MAX_MESSAGE_BYTES}")
    try:
        text = JsonText.parse(body)
    except NotJsonError as error:
        raise NotAMessageError(str(error)) from error
    return SentTelegrams([read(element.value) for element in _elements(text)], body)


def _elements(text: JsonText) -> Sequence[JsonText]:
    if isinstance(text.value, list):
        return bounded(text)
    if not isinstance(text.value, dict):
        raise NotAMessageError("neither an object nor a list")
    return [text]


def read(value: object) -> Telegram | Refused:
    """One decoded JSON value as a telegram, or the first thing that is wrong with it."""
    if not isinstance(value, dict):
        return Refused(Reason.NOT_AN_OBJECT, f"a telegram is an object, this is {shown(value)}")
    serial = value.get("id")
    if serial is None or serial == "":
        return Refused(Reason.NO_INSTALLATION, "the telegram has no id")
    if not isinstance(serial, str):
        return Refused(Reason.INVALID_METER_SERIAL, f"id is no string: {shown(serial)}")
    fault = fault_of_time(value.get("timestamp"))
    if fault is not None:
        return fault
    full = FULL_IDENTITY.fullmatch(serial)
    claim = value.get("gateway_id")
    return Telegram(
        serial=full[1] if full else serial,
        timestamp=value["timestamp"],
        time=msgspec.convert(value["timestamp"], datetime),
        fields=value,
        # What is no string is shown as one, which no gateway's id equals.
        gateway_id=claim if claim is None or isinstance(claim, str) else shown(claim),
    )
