"""Renders what a mail's link to unsubscribe leads to: a page that asks, one when it is done, one for a bad link.

Its form sends what a mail program sends by itself (RFC 8058), to the address that the page came from.
"""

from dataclasses import dataclass

from services.alerts.mail.languages import words_of
from services.alerts.mail.phrasing import clip
from services.alerts.mail.templating import templates
from shared.models import Language


@dataclass(frozen=True)
class _Part:
    """What a page says in one language; without `button` there is nothing to press."""

    language: str
    title: str
    paragraphs: tuple[str, ...]
    button: str = ""


class UnsubscribePages:
    """Reads its template once, when it is made."""

    def __init__(self) -> None:
        self._template = templates().get_template("unsubscribe.html")
        self.unknown = self._render(*(_unknown(language) for language in Language))
        """In every language, since whose link it was is not known."""

    def ask(self, language: Language, tenant_name: str, subscription_name: str) -> str:
        """Whether mails by that subscription shall end, with a button to say so."""
        words = words_of(language)
        asked = _filled(words.unsubscribing.ask, tenant_name, subscription_name)
        return self._render(_Part(language.value, words.unsubscribe, (asked,), words.unsubscribe))

    def ended(self, language: Language, tenant_name: str, subscription_name: str) -> str:
        """That no more mails go out by it, and who could change that."""
        words = words_of(language)
        told = (words.unsubscribing.ended, words.unsubscribing.again)
        paragraphs = tuple(_filled(text, tenant_name, subscription_name) for text in told)
        return self._render(_Part(language.value, words.unsubscribe, paragraphs))

    def _render(self, *parts: _Part) -> str:
        return self._template.render(parts=parts)


def _unknown(language: Language) -> _Part:
    words = words_of(language)
    return _Part(language.value, words.unsubscribe, (words.unsubscribing.unknown,))


def _filled(text: str, tenant_name: str, subscription_name: str) -> str:
    return text.format(tenant=clip(tenant_name), name=clip(subscription_name))
