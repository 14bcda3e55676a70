"""Reads what a gateway sent: which readings are in a message, and what is wrong with those that are none.

Good messages take the fast path: one strict decode. A message in which anything is odd is read again slowly, reading
by reading, so that the good ones in it are saved and the others keep their original text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from services.ingest.fields import converts, fault_of_time, is_number, shown
from services.ingest.json_text import JsonText, NotJsonError
from services.ingest.reasons import Reason, Refused
from shared.messages.gateway import MAX_MESSAGE_BYTES

MAX_READINGS = 70_000
"""More do not fit into a message: a reading takes 60 bytes at least. What has more elements is none."""


class NotAMessageError(Exception):
    """The body is no gateway message at all; the text says why."""


class SentReading(msgspec.Struct, frozen=True, gc=False):
    """A reading whose fields have the right JSON types; whether they make sense is for the verdict.

    Times and ids stay text here: many readings share them, and so each is read once.
    """

    timestamp: str
    value: float
    installation_id: str | None = None
    meter_installation_id: str | None = None
    meter_serial: str | None = None
    rssi_dbm: float | None = None
    battery_level_pct: float | None = None
    gateway_id: str | None = None


class _Batch(msgspec.Struct, frozen=True):
    readings: list[SentReading]
    gateway_id: str | None = None


class _WithoutReadings(msgspec.Struct, frozen=True):
    readings: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What has `readings`, even null, is no single reading."""


_BATCH = msgspec.json.Decoder(_Batch | list[SentReading])
_WITHOUT_READINGS = msgspec.json.Decoder(_WithoutReadings)
_ONE = msgspec.json.Decoder(SentReading)


@dataclass(frozen=True)
class Payload:
    """A message's readings in their order, those that are none as `Refused`.

    `claimed_gateway` is the gateway that the body says it is from; None where it says nothing.
    """

    readings: Sequence[SentReading | Refused]
    claimed_gateway: str | None
    body: bytes
    clean: Sequence[SentReading] | None = None
    """The readings once more, where none is `Refused`."""

    @property
    def count(self) -> int:
        """How many readings the message was found to hold."""
        return len(self.readings)

    def originals(self) -> list[str]:
        """The text of each reading as it was sent. Cuts the body up again: only for messages with refused ones."""
        return [element.text for element in _elements(JsonText.parse(self.body))]


def parse(body: bytes) -> Payload:
    """Read a message. Raises `NotAMessageError` for what is neither object nor list, too large, too deep, not JSON."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise NotAMessageError(f"{len(body)} bytes, more than {MAX_MESSAGE_BYTES}")
    try:
        if not body.isascii():
            body.decode()  # the decoder skips unknown parts unread, but a message is UTF-8 as a whole
        readings, claimed = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _parse_slowly(body)
    if len(readings) > MAX_READINGS:
        raise NotAMessageError(f"{len(readings)} readings, more than {MAX_READINGS}")
    return Payload(readings, claimed, body, clean=readings)


def _decode(body: bytes) -> tuple[list[SentReading], str | None]:
    """A message in which all is as it should be, and whom it claims to be from. Raises `MsgspecError` for others."""
    try:
        sent = _BATCH.decode(body)
    except msgspec.ValidationError:
        if _WITHOUT_READINGS.decode(body).readings is not msgspec.UNSET:
            raise
        one = _ONE.decode(body)
        return [one], one.gateway_id
    return (sent, None) if isinstance(sent, list) else (sent.readings, sent.gateway_id)


def _parse_slowly(body: bytes) -> Payload:
    try:
        text = JsonText.parse(body)
    except NotJsonError as error:
        raise NotAMessageError(str(error)) from error
    readings = [read(element.value) for element in _elements(text)]
    claimed = text.value.get("gateway_id") if isinstance(text.value, dict) else None
    # What is no string is shown as one, which no gateway's id equals.
    return Payload(readings, claimed if claimed is None or isinstance(claimed, str) else shown(claimed), body)


def _elements(text: JsonText) -> Sequence[JsonText]:
    """A message's readings: an object with `readings` is a batch, another object is one, a list is many."""
    if isinstance(text.value, list):
        return bounded(text)
    if not isinstance(text.value, dict):
        raise NotAMessageError("neither an object nor a list")
    if "readings" not in text.value:
        return [text]
    readings = text.member("readings")
    if not isinstance(readings.value, list):
        raise NotAMessageError("`readings` is no list")
    return bounded(readings)


def bounded(text: JsonText) -> Sequence[JsonText]:
    """The elements of a list of readings, unless there are more than there can be."""
    if isinstance(text.value, list) and len(text.value) > MAX_READINGS:
        raise NotAMessageError(f"{len(text.value)} readings, more than {MAX_READINGS}")
    return text.elements()


def read(value: object) -> SentReading | Refused:
    """One decoded JSON value as a reading, or the first thing that is wrong with it."""
    if not isinstance(value, dict):
        return Refused(Reason.NOT_AN_OBJECT, f"a reading is an object, this is {shown(value)}")
    fault = _fault(value)
    if fault is not None:
        return fault
    try:
        return msgspec.convert(value, SentReading)
    except msgspec.ValidationError as error:
        return Refused(Reason.MALFORMED, str(error))


def _fault(reading: dict[str, object]) -> Refused | None:
    """What is wrong with the types of a reading's fields, by name."""
    return _fault_of_name(reading) or fault_of_time(reading.get("timestamp")) or _fault_of_numbers(reading)


def _fault_of_name(reading: dict[str, object]) -> Refused | None:
    for name in ("installation_id", "meter_installation_id"):
        written = reading.get(name)
        if written is not None and not converts(written, UUID):
            return Refused(Reason.INVALID_INSTALLATION_ID, f"{name} is no UUID: {shown(written)}")
    serial = reading.get("meter_serial")
    if serial is not None and not isinstance(serial, str):
        return Refused(Reason.INVALID_METER_SERIAL, f"meter_serial is no string: {shown(serial)}")
    return None


def _fault_of_numbers(reading: dict[str, object]) -> Refused | None:
    value = reading.get("value")
    if not is_number(value):
        return Refused(Reason.INVALID_VALUE, f"value is no finite number: {shown(value)}")
    for name, reason in (("rssi_dbm", Reason.INVALID_RSSI), ("battery_level_pct", Reason.INVALID_BATTERY_LEVEL)):
        written = reading.get(name)
        if written is not None and not is_number(written):
            return Refused(reason, f"{name} is no finite number: {shown(written)}")
    return None
