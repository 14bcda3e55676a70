"""Durations in bodies: ISO 8601, of weeks, days, hours, minutes and whole seconds, as answers have them too."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

# Months and years are not among them: nobody knows how long these are.
PATTERN = r"^P(?=[0-9T])([0-9]{1,5}W)?([0-9]{1,6}D)?(T(?=[0-9])([0-9]{1,7}H)?([0-9]{1,8}M)?([0-9]{1,9}S)?)?$"
_FORM = re.compile(PATTERN)
_UNITS = ("weeks", "days", "", "hours", "minutes", "seconds")


def parse_duration(text: object) -> timedelta:
    """The duration that `text` is; `ValueError` for what is none."""
    form = _FORM.fullmatch(text) if isinstance(text, str) else None
    if form is None:
        raise ValueError("must be an ISO 8601 duration of weeks, days, hours, minutes or seconds, such as PT48H")
    parts = {unit: int(part[:-1]) for unit, part in zip(_UNITS, form.groups(), strict=True) if unit and part}
    return timedelta(**parts)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), WithJsonSchema({"type": "string", "pattern": PATTERN})]
"""A field that is a duration."""
