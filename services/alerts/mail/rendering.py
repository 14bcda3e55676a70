"""Renders mails in the reader's language: digests of events, reminders, and what there is to say of subscriptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from services.alerts.mail.composing import Mail
from services.alerts.mail.languages import words_of
from services.alerts.mail.news import TenantsAlert, TenantsEvent, news_of, still_silent
from services.alerts.mail.pages import Link, Page, Section
from services.alerts.mail.phrasing import Phrasing, clip
from services.alerts.mail.sections import sections
from services.alerts.mail.subjects import SUBJECT_AT_MOST, digest_subject, name_in_subject, reminder_subject
from services.alerts.mail.templating import templates
from shared.models import Language


@dataclass(frozen=True)
class Reader:
    """Who reads a mail: in which language, by which clock, and where a click ends the subscription."""

    language: Language
    zone: ZoneInfo
    unsubscribe_url: str | None = None


@dataclass(frozen=True)
class DisabledSubscription:
    """A subscription that no alert goes out by any more; `host` is all that is told of where it went.

    `kind` is `webhook` or `mail`, `reason` what was seen, for a person to read. Host and reason may be empty: not told.
    """

    name: str
    kind: str
    host: str
    reason: str
    since: datetime


class MailRenderer:
    """Reads its templates once, when it is made. What it renders depends on nothing but what it is given."""

    def __init__(self) -> None:
        environment = templates()
        self._text = environment.get_template("mail.txt")
        self._html = environment.get_template("mail.html")

    def digest(self, events: Sequence[TenantsEvent], reader: Reader) -> Mail:
        """One mail that tells of one or more events.

        Raises `ValueError` where there is none, and for an event that is not for tenants.
        """
        if not events:
            raise ValueError("a digest tells of one event at least")
        news, phrasing = news_of(events), _phrasing(reader)
        subject = digest_subject(news, phrasing)
        return self._render(reader, phrasing, subject, (f"{subject}.",), sections(news, phrasing))

    def reminder(self, alerts: Sequence[TenantsAlert], reader: Reader, *, now: datetime) -> Mail:
        """One mail that tells which alerts are still open at `now`, and for how long; `ValueError` where none is."""
        if not alerts:
            raise ValueError("a reminder tells of one alert at least")
        news, phrasing = still_silent(alerts), _phrasing(reader)
        subject, still = reminder_subject(news, phrasing), phrasing.words.reminder.still_silent
        return self._render(reader, phrasing, subject, (f"{subject}. {still}",), sections(news, phrasing, now=now))

    def trial(self, reader: Reader, *, tenant_name: str, subscription_name: str, asked_at: datetime) -> Mail:
        """A mail by which somebody sees that mail arrives."""
        phrasing = _phrasing(reader)
        words = phrasing.words.trial
        paragraphs = (
            words.it_works.format(tenant=clip(tenant_name)),
            words.of_subscription.format(name=clip(subscription_name)),
            words.asked_for.format(at=phrasing.at(asked_at)),
        )
        subject = words.subject.format(tenant=name_in_subject(tenant_name))
        return self._render(reader, phrasing, subject, paragraphs)

    def disabled(self, subscription: DisabledSubscription, reader: Reader) -> Mail:
        """A mail that tells that another subscription of the tenant was disabled."""
        phrasing = _phrasing(reader)
        words = phrasing.words.disabled
        kind = phrasing.words.kinds.get(subscription.kind, subscription.kind)
        paragraphs = (
            words.what.format(name=clip(subscription.name), kind=clip(kind), since=phrasing.at(subscription.since)),
            *([words.to_host.format(host=clip(subscription.host))] if subscription.host else []),
            *([words.why.format(reason=clip(subscription.reason))] if subscription.reason else []),
            words.nothing_is_sent,
        )
        subject = words.subject.format(name=name_in_subject(subscription.name))
        return self._render(reader, phrasing, subject, paragraphs)

    def _render(
        self,
        reader: Reader,
        phrasing: Phrasing,
        subject: str,
        paragraphs: tuple[str, ...],
        parts: tuple[Section, ...] = (),
    ) -> Mail:
        words, url = phrasing.words, reader.unsubscribe_url
        page = Page(
            language=reader.language.value,
            subject=clip(subject, SUBJECT_AT_MOST),
            paragraphs=paragraphs,
            sections=parts,
            notes=(words.times_are_in.format(zone=phrasing.zone_name), words.why_you),
            unsubscribe=None if url is None else Link(words.unsubscribe, url),
        )
        text, html = self._text.render(page=page), self._html.render(page=page)
        return Mail(language=reader.language, subject=page.subject, text=text, html=html)


def _phrasing(reader: Reader) -> Phrasing:
    return Phrasing(words_of(reader.language), reader.zone)
