"""Units of measure: which one the end of a field's name says, and exact conversion between those of one quantity.

wmbusmeters ends the name of every numeric field with its unit in lower case (`wmbusmeters --listunits`).
"""

from decimal import Decimal, localcontext
from fractions import Fraction

ENERGY = {
    "wh": Decimal(3600),
    "kwh": Decimal(3_600_000),
    "mwh": Decimal(3_600_000_000),
    "mj": Decimal(1_000_000),
    "gj": Decimal(1_000_000_000),
}
"""In joules: the watt is a joule a second and the hour 3600 s, exactly (BIPM, The International System of Units)."""
VOLUME = {"l": Decimal(1), "m3": Decimal(1000)}
"""In litres: the litre is a cubic decimetre, exactly (the same)."""
HEAT_COST = {"hca": Decimal(1)}
"""The units of a heat cost allocator (EN 834) mean nothing beyond themselves."""

QUANTITIES = (ENERGY, VOLUME, HEAT_COST)

NO_COUNTERS = frozenset({
    "s", "min", "h", "d", "month", "y", "ut", "utc", "datetime", "date", "lt", "time",
    "m", "kg", "mol", "cd", "deg", "rad", "k", "c", "f", "rh", "pa", "bar",
    "a", "v", "hz", "w", "kw", "jh", "dbm", "kvarh", "kvah", "m3c", "m3ch", "m3h", "lh",
    "txt", "pct", "ppm",
})  # fmt: skip
"""The other units of wmbusmeters, which no installation counts in. `counter`, `nr` and the like are no units."""

DIGITS = 40
"""Of a conversion, so that only the last step, to a double, rounds: 5.548 m3 are 5548 l, and not 5548.000000000001."""


def unit_of_field(name: str) -> str | None:
    """The unit that a field's name ends with, in lower case; None where it ends with none."""
    _, underscore, end = name.rpartition("_")
    unit = end.lower() if underscore else ""
    return unit if unit in NO_COUNTERS or any(unit in quantity for quantity in QUANTITIES) else None


def units_like(unit: str) -> tuple[str, ...]:
    """The units that convert to `unit`, in lower case, itself first; none where no installation counts in it."""
    unit = unit.lower()
    for quantity in QUANTITIES:
        if unit in quantity:
            return (unit, *(other for other in quantity if other != unit))
    return ()


def convert(value: float, source: str, target: str) -> float:
    """`value` in another unit of the same quantity, as near as a double can say it; it may exceed every double.

    Raises `ValueError` where the units are of different quantities.
    """
    source, target = source.lower(), target.lower()
    if source == target:
        return float(value)
    for quantity in QUANTITIES:
        if source in quantity and target in quantity:
            with localcontext(prec=DIGITS):
                # By its shortest text, which is what was sent: the double 5.548 is a little less than 5.548.
                return float(Decimal(str(value)) * quantity[source] / quantity[target])
    raise ValueError(f"{source} does not convert to {target}")


def ratio(source: str, target: str) -> Fraction:
    """How many of `target` one `source` is, exactly. Raises `ValueError` where they are of different quantities."""
    source, target = source.lower(), target.lower()
    for quantity in QUANTITIES:
        if source in quantity and target in quantity:
            return Fraction(quantity[source]) / Fraction(quantity[target])
    raise ValueError(f"{source} does not convert to {target}")
