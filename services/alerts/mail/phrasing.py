"""Writes times, durations, numbers and amounts as a language does (CLDR, by babel), and clips foreign names. Pure."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_gmt
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent, format_scientific
from babel.units import format_unit

from services.alerts.mail.words import Counted, Words
from shared.models import Medium, UnitOfMeasure

NAME_AT_MOST = 200
"""Characters of a name or an address in a mail."""

CLDR_UNITS = {
    UnitOfMeasure.KWH: "energy-kilowatt-hour",
    UnitOfMeasure.CUBIC_METRE: "volume-cubic-meter",
}
"""Of these the locale data has the symbol, whatever the number; those of the others are the same in every language."""

WRITTEN_OUT = (Decimal("1e-6"), Decimal("1e15"))
"""Numbers in between are written with all their digits, others with an exponent."""

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def clip(text: str, at_most: int = NAME_AT_MOST) -> str:
    """`text` in one line of printable characters, and an ellipsis where it is longer than `at_most`.

    What turns the direction of writing, or cannot be seen, could make a line say something else than it does.
    """
    seen = "".join("" if unicodedata.category(one) in {"Cf", "Cs"} else one for one in text)
    line = " ".join("".join(one if one.isprintable() else " " for one in seen).split())
    return line if len(line) <= at_most else f"{line[: at_most - 1].rstrip()}…"


class Phrasing:
    """One language's way to write, with times by the clock of one zone."""

    def __init__(self, words: Words, zone: ZoneInfo) -> None:
        self.words = words
        self._locale = Locale.parse(words.locale)
        self._zone = zone

    def at(self, moment: datetime) -> str:
        """Such as `20. nov. 2026 06.00`; in the hour that the clock shows twice, with the offset to UTC."""
        wall = moment.astimezone(self._zone)
        date = format_date(wall, "medium", locale=self._locale)
        time = format_time(wall, "short", tzinfo=self._zone, locale=self._locale)
        written = self._locale.datetime_formats["medium"].format(time, date)
        if wall.replace(fold=0).utcoffset() == wall.replace(fold=1).utcoffset():
            return str(written)
        return f"{written} {get_timezone_gmt(wall, width='long', locale=self._locale)}"

    def lasting(self, begin: datetime, end: datetime) -> str:
        """How long it was from one to the other, in the two largest units: `3 dage og 4 timer`; one minute at least."""
        left = max(end.astimezone(UTC) - begin.astimezone(UTC), MINUTE)
        days, rest = divmod(left, DAY)
        hours, rest = divmod(rest, HOUR)
        parts = [(days, "day"), (hours, "hour"), (rest // MINUTE, "minute")]
        largest = next(index for index, (count, _) in enumerate(parts) if count)
        return self.listed(
            [
                format_unit(count, f"duration-{unit}", length="long", locale=self._locale)
                for count, unit in parts[largest : largest + 2]
                if count
            ]
        )

    def number(self, value: float) -> str:
        """With all the digits that it has."""
        exact, (low, high) = _exact(value), WRITTEN_OUT
        if exact and not low <= abs(exact) < high:
            return format_scientific(exact, locale=self._locale, decimal_quantization=False)
        return format_decimal(exact, locale=self._locale, decimal_quantization=False)

    def amount(self, value: float, unit_of_measure: str) -> str:
        """A meter's value with its unit. One that is not known is written as it is."""
        if unit_of_measure == UnitOfMeasure.HCA:
            form = self._locale.plural_form(_exact(value))
            counted = self.words.hca.one if form == "one" else self.words.hca.other
            return counted.format(count=self.number(value))
        for unit, name in CLDR_UNITS.items():
            if unit == unit_of_measure:
                return format_unit(self.number(value), name, length="short", locale=self._locale)
        return f"{self.number(value)}{NO_BREAK_SPACE}{clip(unit_of_measure)}"

    def percent(self, whole: int) -> str:
        """A percentage, such as of a battery."""
        return format_percent(Decimal(whole) / 100, locale=self._locale)

    def counted(self, counted: Counted, count: int, **values: str) -> str:
        """The text about so many."""
        text = counted.one if self._locale.plural_form(count) == "one" else counted.other
        return text.format(count=self.number(count), **values)

    def listed(self, parts: Sequence[str]) -> str:
        """`A, B og C`."""
        return format_list(list(parts), locale=self._locale)

    def medium(self, medium: str) -> str:
        """What the language calls a medium; one that is not known stays as it is."""
        try:
            return self.words.media[Medium(medium)]
        except ValueError:
            return clip(medium)

    @property
    def zone_name(self) -> str:
        """The zone by its name in the IANA data base."""
        return self._zone.key


def _exact(value: float) -> Decimal:
    """By its shortest text, which is what was sent; 1 and not 1.0, which in English is several."""
    exact = Decimal(repr(value))
    return exact.to_integral_value() if exact == exact.to_integral_value() else exact
