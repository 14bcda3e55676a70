"""What mails say, whole, in each language; and what hostile names and great numbers do to them."""

from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser
from string import Formatter
from typing import Any

import pytest
from typing_extensions import override

from services.alerts.mail.composing import Mail
from services.alerts.mail.danish import DANISH
from services.alerts.mail.english import ENGLISH
from services.alerts.mail.languages import words_of
from services.alerts.mail.news import TenantsAlert, TenantsEvent
from services.alerts.mail.rendering import DisabledSubscription, MailRenderer, Reader
from services.alerts.mail.sections import LISTED_AT_MOST
from services.alerts.mail.subjects import SUBJECT_AT_MOST
from services.alerts.mail.words import Words
from shared.messages.alert_events import AlertEventType, PipelineAlert, PipelineCause
from shared.messages.cloudevents import CloudEvent
from shared.models import Language, Medium
from tests.services.alerts.mail.examples import BRITON, DANE, NOON, URL, gateway, installation, reading

RECOVERED = AlertEventType.INSTALLATION_RECOVERED
GATEWAY_RECOVERED = AlertEventType.GATEWAY_RECOVERED
HOSTILE = "<script>alert('{serial}')</script>\r\nBcc: bo@example.com\u202e %s &amp;"


@pytest.fixture(scope="module")
def renderer() -> MailRenderer:
    return MailRenderer()


EVENTS: list[TenantsEvent] = [
    installation(71440145, unit_label="10. tv", last=reading(battery=12), gateway_id="GW-0001"),
    installation(71440146, unit_label="2. th", medium="heat"),
    installation(71440147, property_number=12, kind=RECOVERED, last=reading(at=NOON)),
    gateway(installations=24, properties=12, addresses=2),
]

DANISH_DIGEST = """\
Tavse: 1 gateway og 2 målere. Høres igen: 1 måler.

Tavse gateways
==============
Så længe en gateway er tavs, meldes dens målere ikke enkeltvis.

- In the cellar (GW-0001)
  Tavs siden 19. nov. 2026 13.00
  Senest hørt 19. nov. 2026 13.00
  Skal høre 24 målere i 12 ejendomme: Havnegade 1, 8000 Aarhus C; Havnegade 2, 8000 Aarhus C; … og 10 mere

Tavse målere
============

Havnegade 4 (2 målere)
Havnegade 4, 8000 Aarhus C
- 2. th: varme, måler 71440146
  Tavs siden 19. nov. 2026 13.00
  Aldrig hørt
- 10. tv: koldt vand, måler 71440145
  Tavs siden 19. nov. 2026 13.00
  Seneste aflæsning 19. nov. 2026 13.00: 1.234,567 m³, batteri 12 %
  Gateway: GW-0001

Målere, der høres igen
======================

Havnegade 12 (1 måler)
Havnegade 12, 8000 Aarhus C
- Kælder: koldt vand, måler 71440147
  Hørt igen 22. nov. 2026 13.00 efter 3 dage tavshed siden 19. nov. 2026 13.00
  Seneste aflæsning 22. nov. 2026 13.00: 1.234,567 m³

--\N{SPACE}
Tider er i tidszonen Europe/Copenhagen.
Du får denne mail, fordi adressen abonnerer på alarmer om målere og gateways.
Afmeld: https://alerts.example.com/unsubscribe/v1.token
"""

ENGLISH_DIGEST = """\
Silent: 1 gateway and 2 meters. Heard again: 1 meter.

Silent gateways
===============
While a gateway is silent, its meters are not reported one by one.

- In the cellar (GW-0001)
  Silent since 19 Nov 2026, 13:00
  Last heard 19 Nov 2026, 13:00
  Should hear 24 meters in 12 properties: Havnegade 1, 8000 Aarhus C; Havnegade 2, 8000 Aarhus C; … and 10 more

Silent meters
=============

Havnegade 4 (2 meters)
Havnegade 4, 8000 Aarhus C
- 2. th: heat, meter 71440146
  Silent since 19 Nov 2026, 13:00
  Never heard
- 10. tv: cold water, meter 71440145
  Silent since 19 Nov 2026, 13:00
  Last reading 19 Nov 2026, 13:00: 1,234.567 m³, battery 12%
  Gateway: GW-0001

Meters that are heard again
===========================

Havnegade 12 (1 meter)
Havnegade 12, 8000 Aarhus C
- Kælder: cold water, meter 71440147
  Heard again 22 Nov 2026, 13:00, after 3 days of silence since 19 Nov 2026, 13:00
  Last reading 22 Nov 2026, 13:00: 1,234.567 m³

--\N{SPACE}
Times are those of the zone Europe/Copenhagen.
You get this mail because this address subscribes to alerts of meters and gateways.
Unsubscribe: https://alerts.example.com/unsubscribe/v1.token
"""


def plain(text: str) -> str:
    """With spaces where the locale data has some that break no line."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(("reader", "text"), [(DANE, DANISH_DIGEST), (BRITON, ENGLISH_DIGEST)], ids=["da", "en"])
def test_a_digest_tells_who_is_silent_where_and_who_is_back(renderer: MailRenderer, reader: Reader, text: str) -> None:
    mail = renderer.digest(EVENTS, reader)
    assert plain(mail.text) == text
    assert mail.language is reader.language
    assert mail.subject == text.partition(".\n")[0]
    # Whatever order they came in.
    assert renderer.digest(EVENTS[::-1], reader) == mail


@pytest.mark.parametrize("reader", [DANE, BRITON], ids=["da", "en"])
def test_html_says_the_same_as_text(renderer: MailRenderer, reader: Reader) -> None:
    mail = renderer.digest(EVENTS, reader)
    seen = _Page.of(mail.html)
    assert f'<html lang="{reader.language}">' in mail.html
    assert seen.links == [URL]
    for line in mail.text.splitlines():
        if not set(line) <= set("=- ") and URL not in line:
            assert line.removeprefix("- ").strip() in seen.text


@pytest.mark.parametrize(
    ("events", "danish", "english"),
    [
        ([installation(1)], "Måler 00000001 er tavs i Havnegade 4", "Meter 00000001 is silent in Havnegade 4"),
        (
            [installation(n) for n in range(3)],
            "3 målere er tavse i Havnegade 4",
            "3 meters are silent in Havnegade 4",
        ),
        (
            [installation(n, property_number=n % 2) for n in range(1200)],
            "1.200 målere er tavse i 2 ejendomme",
            "1,200 meters are silent in 2 properties",
        ),
        (
            [installation(1, kind=RECOVERED)],
            "Måler 00000001 høres igen i Havnegade 4",
            "Meter 00000001 is heard again in Havnegade 4",
        ),
        (
            [installation(n, kind=RECOVERED) for n in range(2)],
            "2 målere høres igen i Havnegade 4",
            "2 meters are heard again in Havnegade 4",
        ),
        (
            [gateway()],
            "Gateway In the cellar er tavs, og 24 målere bag den",
            "Gateway In the cellar is silent, and 24 meters behind it",
        ),
        (
            [gateway(1), gateway(2, installations=1)],
            "2 gateways er tavse, og 25 målere bag dem",
            "2 gateways are silent, and 25 meters behind them",
        ),
        ([gateway(name="", kind=GATEWAY_RECOVERED)], "Gateway GW-0001 høres igen", "Gateway GW-0001 is heard again"),
        (
            [gateway(1, kind=GATEWAY_RECOVERED), gateway(2, kind=GATEWAY_RECOVERED)],
            "2 gateways høres igen",
            "2 gateways are heard again",
        ),
        (
            [gateway(1, kind=GATEWAY_RECOVERED), installation(9)],
            "Tavse: 1 måler. Høres igen: 1 gateway",
            "Silent: 1 meter. Heard again: 1 gateway",
        ),
    ],
)
def test_a_subject_says_how_many_and_where(
    renderer: MailRenderer, events: list[TenantsEvent], danish: str, english: str
) -> None:
    assert renderer.digest(events, DANE).subject == danish
    assert renderer.digest(events, BRITON).subject == english


def test_a_gateway_is_told_of_with_what_is_behind_it_also_when_it_is_back(renderer: MailRenderer) -> None:
    text = plain(renderer.digest([gateway(last_heard_at=None, properties=0, addresses=0)], BRITON).text)
    assert "  Never heard\n  Should hear 24 meters in 0 properties\n" in text
    text = plain(renderer.digest([gateway(kind=GATEWAY_RECOVERED)], BRITON).text)
    assert (
        "Gateways that are heard again\n=============================\n\n- In the cellar (GW-0001)\n"
        "  Silent since 19 Nov 2026, 13:00, heard again by 22 Nov 2026, 13:00: 3 days at most\n"
        "  Should hear 24 meters in 1 property: Havnegade 1, 8000 Aarhus C\n"
    ) in text


def test_a_silence_that_is_over_is_only_told_of_as_over(renderer: MailRenderer) -> None:
    """Else whoever reads the mail looks for a meter that is heard."""
    both = [installation(1), installation(1, kind=RECOVERED), installation(2)]
    mail = renderer.digest(both, BRITON)
    assert mail.subject == "Silent: 1 meter. Heard again: 1 meter"
    assert mail.text.count("00000001") == 1
    assert mail == renderer.digest(both[::-1], BRITON)


def test_a_reminder_tells_for_how_long(renderer: MailRenderer) -> None:
    alerts: list[TenantsAlert] = [
        installation(1, since=NOON - timedelta(days=2, hours=5, minutes=3)).data,
        gateway().data,
    ]
    mail = renderer.reminder(alerts, DANE, now=NOON)
    assert mail.subject == "Stadig tavse: 1 gateway og 1 måler"
    assert mail.text.startswith("Stadig tavse: 1 gateway og 1 måler. Disse alarmer er stadig åbne.\n")
    assert "  Tavs siden 20. nov. 2026 07.57: i 2 dage og 5 timer\n  Aldrig hørt\n" in plain(mail.text)
    assert "  Tavs siden 19. nov. 2026 13.00: i 3 dage\n" in plain(mail.text)
    cases: list[tuple[list[TenantsAlert], str, str]] = [
        (alerts[:1], "Måler 00000001 er stadig tavs i Havnegade 4", "Meter 00000001 is still silent in Havnegade 4"),
        (alerts[1:], "Gateway In the cellar er stadig tavs", "Gateway In the cellar is still silent"),
        (
            [installation(1).data, installation(2).data],
            "2 målere er stadig tavse i Havnegade 4",
            "2 meters are still silent in Havnegade 4",
        ),
        ([gateway(1).data, gateway(2).data], "2 gateways er stadig tavse", "2 gateways are still silent"),
    ]
    for some, danish, english in cases:
        assert renderer.reminder(some, DANE, now=NOON).subject == danish
        assert renderer.reminder(some, BRITON, now=NOON).subject == english


def test_a_trial_says_that_it_is_one(renderer: MailRenderer) -> None:
    mail, english = (
        renderer.trial(reader, tenant_name="Boligforeningen", subscription_name="Vagten", asked_at=NOON)
        for reader in (replace(DANE, unsubscribe_url=None), BRITON)
    )
    assert mail.subject == "Test: alarmer fra Boligforeningen når frem til denne adresse"
    assert mail.text == (
        "Dette er en test. Alarmer fra Boligforeningen når frem til denne adresse.\n"
        "Abonnement: Vagten\n"
        "En, der har adgang til abonnementet, bad om den 22. nov. 2026 13.00. Der er intet galt med nogen måler.\n"
        "\n-- \n"
        "Tider er i tidszonen Europe/Copenhagen.\n"
        "Du får denne mail, fordi adressen abonnerer på alarmer om målere og gateways.\n"
    )
    assert "<a " not in mail.html
    assert english.subject == "Test: alerts of Boligforeningen reach this address"
    assert english.text.startswith(
        "This is a test. Alerts of Boligforeningen reach this address.\n"
        "Subscription: Vagten\n"
        "Somebody with access to the subscription asked for it 22 Nov 2026, 13:00. Nothing is wrong with any meter.\n"
    )


def test_a_subscription_that_was_disabled_is_told_of_with_its_host_alone(renderer: MailRenderer) -> None:
    disabled = DisabledSubscription("Driften", "webhook", "hooks.example.com", "404 Not Found", NOON)
    mail = renderer.disabled(disabled, DANE)
    assert mail.subject == "Abonnementet Driften er slået fra"
    assert mail.text.startswith(
        "Abonnementet Driften (webhook) har været slået fra siden 22. nov. 2026 13.00.\n"
        "Det gik til hooks.example.com.\n"
        "Årsag: 404 Not Found\n"
        "Det sender ingen alarmer, før nogen slår det til igen.\n\n"
    )
    assert renderer.disabled(disabled, BRITON).text.startswith(
        "The subscription Driften (webhook) has been disabled since 22 Nov 2026, 13:00.\n"
        "It went to hooks.example.com.\n"
        "Reason: 404 Not Found\n"
        "No alerts go out by it until somebody enables it again.\n\n"
    )


def hostile_mails(renderer: MailRenderer, reader: Reader) -> list[Mail]:
    """Mails in which every name is hostile."""
    event = installation(1, property_name=HOSTILE, unit_label=HOSTILE, medium=HOSTILE, gateway_id=HOSTILE)
    box = gateway(name=HOSTILE)
    return [
        renderer.digest([event], reader),
        renderer.digest([box], reader),
        renderer.reminder([event.data, box.data], reader, now=NOON),
        renderer.trial(reader, tenant_name=HOSTILE, subscription_name=HOSTILE, asked_at=NOON),
        renderer.disabled(DisabledSubscription(HOSTILE, HOSTILE, HOSTILE, HOSTILE, NOON), reader),
    ]


@pytest.mark.parametrize("reader", [DANE, BRITON], ids=["da", "en"])
def test_names_are_shown_as_they_are_and_do_nothing(renderer: MailRenderer, reader: Reader) -> None:
    for mail in hostile_mails(renderer, reader):
        seen = _Page.of(mail.html)
        assert seen.scripts == 0
        assert seen.links == [URL]
        assert "<script>alert('{serial}')</script> Bcc: bo@example.com %s &amp;" in seen.text
        assert "<script>alert('{serial}')</script> Bcc: bo@example.com %s &amp;" in mail.text
        assert not any(line.startswith("Bcc:") for line in mail.text.splitlines())
        assert "\u202e" not in mail.text + mail.html + mail.subject
        assert mail.subject.isprintable()


@pytest.mark.parametrize("reader", [DANE, BRITON], ids=["da", "en"])
def test_names_that_go_on_and_on_are_cut(renderer: MailRenderer, reader: Reader) -> None:
    endless = "Havnegade " * 10_000
    mail = renderer.digest([installation(1, property_name=endless, unit_label=endless), gateway(name=endless)], reader)
    assert len(mail.text) < 3000
    for event in (installation(1, property_name=endless), gateway(name=endless)):
        subject = renderer.digest([event], reader).subject
        assert len(subject) <= SUBJECT_AT_MOST
        assert "…" in subject


def test_ten_thousand_events_make_a_mail_that_can_be_read(renderer: MailRenderer) -> None:
    kinds = (AlertEventType.INSTALLATION_STALE, RECOVERED)
    meters = [installation(n, property_number=n % 97, kind=kinds[n % 2]) for n in range(10_000)]
    gateways = [gateway(n, kind=GATEWAY_RECOVERED) for n in range(20_001, 20_101)]
    mail = renderer.digest([*meters, *gateways], BRITON)
    assert mail.subject == "Silent: 5,000 meters. Heard again: 100 gateways and 5,000 meters"
    assert mail.text.count("\n- ") == 3 * LISTED_AT_MOST
    assert mail.text.count(f"\n… and {5000 - LISTED_AT_MOST:,} more\n") == 2
    assert f"\n… and {100 - LISTED_AT_MOST} more\n" in mail.text
    assert len(mail.html) < 50_000
    # A property of which only some are listed says how many there are.
    assert "Havnegade 0 (52 meters)" in mail.text


def test_as_many_as_are_listed_leave_none_out(renderer: MailRenderer) -> None:
    mail = renderer.digest([installation(n) for n in range(LISTED_AT_MOST)], BRITON)
    assert mail.text.count("\n- ") == LISTED_AT_MOST
    assert "more" not in mail.text


def test_there_is_no_mail_about_nothing_or_about_the_pipeline(renderer: MailRenderer) -> None:
    with pytest.raises(ValueError, match="one event at least"):
        renderer.digest([], DANE)
    with pytest.raises(ValueError, match="one alert at least"):
        renderer.reminder([], DANE, now=NOON)
    told = PipelineAlert(since=NOON, cause=PipelineCause.BEHIND, reason="behind", judged_until=None)
    pipeline: Any = CloudEvent(id="1", source="/", type="pipeline.degraded", time=NOON, data=told)
    with pytest.raises(ValueError, match=r"pipeline\.degraded"):
        renderer.digest([pipeline], DANE)


def test_each_language_has_all_the_words_with_the_same_to_fill_in() -> None:
    assert [words_of(language) for language in Language] == [DANISH, ENGLISH]
    danish, english = texts(DANISH), texts(ENGLISH)
    assert danish.keys() == english.keys()
    assert set(DANISH.media) == set(ENGLISH.media) == set(Medium)
    assert set(DANISH.kinds) == set(ENGLISH.kinds) == {"webhook", "mail"}
    for name, text in danish.items():
        assert text.strip() == text != ""
        assert to_fill_in(text) == to_fill_in(english[name]), name


def texts(words: Words) -> dict[str, str]:
    """Every text, by where it stands."""
    found: dict[str, str] = {}

    def look(name: str, value: Any) -> None:
        if is_dataclass(value):
            for field in fields(value):
                look(f"{name}.{field.name}", getattr(value, field.name))
        elif isinstance(value, str):
            found[name] = value
        else:
            for key, text in value.items():
                look(f"{name}.{key}", text)

    look("words", words)
    return found


def to_fill_in(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


class _Page(HTMLParser):
    """What a reader of HTML sees."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str | None] = []
        self.scripts = 0

    @classmethod
    def of(cls, html: str) -> "_Page":
        page = cls()
        page.feed(html)
        page.close()
        return page

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.links += [value for name, value in attrs if name == "href"]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data
