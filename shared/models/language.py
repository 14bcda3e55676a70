"""In which language people are written to."""

from enum import StrEnum


class Language(StrEnum):
    """By ISO 639-1."""

    DANISH = "da"
    ENGLISH = "en"
