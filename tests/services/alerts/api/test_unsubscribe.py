"""Links of mails: the page asks and changes nothing, the click ends the subscription, and nothing else gets there."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from services.alerts.api.app import CLICKS_BURST
from services.alerts.mail.unsubscribe import unsubscribe_token
from services.alerts.settings import AlertsSettings
from shared.settings import load
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.told import deliveries, open_alert, tell
from tests.support.registry import Building, create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.tokens import Headers

KEY = "a key of the tests, of 32 bytes.."
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
STANDING = "SELECT enabled, disabled_because, disabled_at IS NOT NULL FROM subscription WHERE id = :id"
TEXTS = {"en": ("Shall they end?", "No more mails"), "da": ("Skal de ophøre?", "ikke flere mails")}
HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def mail_settings(settings: AlertsSettings, monkeypatch: pytest.MonkeyPatch) -> AlertsSettings:
    assert settings.mailing() is None
    monkeypatch.setenv("MBUS_ALERTS_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("MBUS_ALERTS_MAIL_FROM", "alerts@example.com")
    monkeypatch.setenv("MBUS_ALERTS_PUBLIC_URL", "https://alerts.example.com")
    monkeypatch.setenv("MBUS_ALERTS_UNSUBSCRIBE_KEY", KEY)
    return load(AlertsSettings)


@pytest.fixture
async def by_link(mail_settings: AlertsSettings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service that sends mail."""
    app = create_app(mail_settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.fixture
async def building(engine: AsyncEngine) -> Building:
    return await create_building(engine, meters=1)


def link(subscription_id: UUID, *, key: str = KEY) -> str:
    return f"/unsubscribe/{unsubscribe_token(key.encode(), subscription_id)}"


class _Page(HTMLParser):
    """What a page shows, and what it could load or send."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.languages: list[str | None] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.languages += [value for name, value in attrs if name == "lang"]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(answer: httpx2.Response) -> _Page:
    """The page, which loads nothing, runs nothing, and sends only to where it came from."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(one.strip().partition(" ")[::2] for one in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "script-src" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert answer.headers["cache-control"] == "no-store"
    page = _Page(answer.text)
    assert not {"script", "link", "img", "iframe", "a"} & set(page.tags)
    assert not {"src", "href", "action"} & page.attributes
    return page


@pytest.mark.parametrize("language", TEXTS)
async def test_the_page_asks_in_the_readers_language_and_only_its_button_ends_it(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building, language: str
) -> None:
    mail = await add_mail(engine, building.tenant_id, language=language)
    hook = await add_webhook(engine, building.tenant_id)
    alert = await open_alert(engine, building, building.installation_ids[0])
    await tell(engine, building, "installation.stale", alert, building.installation_ids[0])
    ((tenant,),) = await rows(engine, "SELECT name FROM tenant WHERE id = :id", id=building.tenant_id)
    assert (await by_link.head(link(mail))).status_code == 200
    asked = await by_link.get(link(mail))
    assert asked.status_code == 200
    asks, ended = TEXTS[language]
    page = page_of(asked)
    assert asks in page.text
    assert tenant in page.text
    assert set(page.languages) == {language}
    assert page.tags.count("button") == page.tags.count("form") == 1
    assert await rows(engine, STANDING, id=mail) == [(True, None, False)]
    assert await deliveries(engine, mail) == [("installation.stale", "waits")]

    done = await by_link.post(link(mail), data=ONE_CLICK)
    assert done.status_code == 200
    assert ended in page_of(done).text
    assert "button" not in page_of(done).tags
    assert await rows(engine, STANDING, id=mail) == [(False, "unsubscribed", True)]
    assert await deliveries(engine, mail) == [("installation.stale", "disabled")]
    # Others go on, and need not be told.
    assert await deliveries(engine, hook) == [("installation.stale", "waits")]


async def test_a_mail_programs_one_click_is_the_same_in_either_form_and_as_often_as_it_likes(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building
) -> None:
    url_encoded = await add_mail(engine, building.tenant_id)
    multipart = await add_mail(engine, building.tenant_id)
    assert (await by_link.post(link(url_encoded), data=ONE_CLICK)).status_code == 200
    parts = {"List-Unsubscribe": (None, b"One-Click")}
    assert (await by_link.post(link(multipart), files=parts)).status_code == 200
    ended_at = await rows(engine, "SELECT id, disabled_at, disabled_because FROM subscription ORDER BY id")
    assert {because for _, _, because in ended_at} == {"unsubscribed"}
    again = await by_link.post(link(url_encoded), data=ONE_CLICK)
    assert again.status_code == 200
    assert "No more mails" in page_of(again).text
    asked = await by_link.get(link(url_encoded))
    assert asked.status_code == 200
    assert "button" not in page_of(asked).tags
    assert await rows(engine, "SELECT id, disabled_at, disabled_because FROM subscription ORDER BY id") == ended_at


async def test_one_that_was_disabled_for_another_reason_keeps_it(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    await change(engine, "UPDATE subscription SET enabled = false, disabled_at = now(), disabled_because = 'by_hand'")
    assert (await by_link.post(link(mail), data=ONE_CLICK)).status_code == 200
    assert await rows(engine, STANDING, id=mail) == [(False, "by_hand", True)]


async def test_what_is_no_link_of_ours_and_what_was_removed_is_a_404_page_in_each_language(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building
) -> None:
    removed = await add_mail(engine, building.tenant_id)
    await change(engine, "UPDATE subscription SET deleted_at = now() WHERE id = :id", id=removed)
    hook = await add_webhook(engine, building.tenant_id)
    alive = await add_mail(engine, building.tenant_id)
    forged = urlsafe_b64encode(alive.bytes + bytes(32)).decode()
    bad = [
        link(removed),
        link(hook),
        link(uuid4()),
        link(alive, key="another key of tests, of 32 bytes"),
        f"/unsubscribe/v1.{forged}",
        f"/unsubscribe/{alive}",
        f"{link(alive)}x",
        "/unsubscribe/%C3%A6%00%0A",
        f"/unsubscribe/{'v' * 20_000}",
    ]
    for url in bad:
        for method in ("GET", "POST"):
            answer = await by_link.request(method, url)
            assert answer.status_code == 404, url
            page = page_of(answer)
            assert {"en", "da"} <= set(page.languages)
            assert "no subscription" in page.text
            assert "ikke til noget abonnement" in page.text
            assert "form" not in page.tags
    assert await rows(engine, STANDING, id=alive) == [(True, None, False)]


async def test_somebody_enables_it_again_and_old_links_work_again(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building, headers: Headers
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    assert (await by_link.post(link(mail))).status_code == 200
    token = headers(building.tenant_id)
    before = (await by_link.get(f"/subscriptions/{mail}", headers=token)).json()
    assert (before["enabled"], before["disabled_because"]) == (False, "unsubscribed")
    wanted = {"name": "mail", "mail_address": before["mail_address"], "language": "en", "enabled": True}
    assert (await by_link.put(f"/subscriptions/{mail}", headers=token, json=wanted)).status_code == 200
    assert await rows(engine, STANDING, id=mail) == [(True, None, False)]
    assert "Shall they end?" in page_of(await by_link.get(link(mail))).text
    assert (await by_link.post(link(mail))).status_code == 200
    assert await rows(engine, STANDING, id=mail) == [(False, "unsubscribed", True)]


async def test_names_are_shown_and_do_nothing(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    await change(engine, "UPDATE tenant SET name = :name", name=HOSTILE)
    await change(engine, "UPDATE subscription SET name = '{tenant.__class__}'")
    for answer in (await by_link.get(link(mail)), await by_link.post(link(mail))):
        text = page_of(answer).text
        assert "<script>alert(1)</script>" in text
        assert "\u202e" not in text
        assert "{tenant.__class__}" in text


async def test_a_link_that_is_asked_again_and_again_is_told_to_wait_and_others_are_not(
    by_link: httpx2.AsyncClient, engine: AsyncEngine, building: Building
) -> None:
    mail, other = await add_mail(engine, building.tenant_id), await add_mail(engine, building.tenant_id)
    answers = [(await by_link.get(link(mail))).status_code for _ in range(CLICKS_BURST)]
    assert set(answers) == {200}
    # In the time that these took some more may have become free.
    refused = next(
        one for one in [await by_link.get(link(mail)) for _ in range(CLICKS_BURST)] if one.status_code != 200
    )
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert (await by_link.get(link(other))).status_code == 200


async def test_while_the_database_is_away_a_good_link_is_a_503_and_a_bad_one_a_404(
    mail_settings: AlertsSettings,
) -> None:
    away = mail_settings.model_copy(
        update={"database_url": type(mail_settings.database_url)("postgresql://me:secret@127.0.0.1:9/none")}
    )
    app = create_app(away)
    async with app.router.lifespan_context(app), client_of(app) as client:
        for method in ("GET", "POST"):
            answer = await client.request(method, link(uuid4()))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert (await client.request(method, "/unsubscribe/v1.bad")).status_code == 404


async def test_there_is_no_such_path_where_no_mail_is_sent_and_it_is_in_no_document(
    client: httpx2.AsyncClient, by_link: httpx2.AsyncClient
) -> None:
    answer = await client.get(link(uuid4()))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await by_link.get("/openapi.json")).json() == (await client.get("/openapi.json")).json()
