"""Which words are those of a language. Pure."""

from services.alerts.mail.danish import DANISH
from services.alerts.mail.english import ENGLISH
from services.alerts.mail.words import Words
from shared.models import Language


def words_of(language: Language) -> Words:
    """All that is said in a language."""
    match language:
        case Language.DANISH:
            return DANISH
        case Language.ENGLISH:
            return ENGLISH
