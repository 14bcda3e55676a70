"""Mails of alerts, from the row to a real server: one for what comes together, each once, and an end by one click."""

import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.settings import AlertsSettings
from services.alerts.webhooks.signing import new_secret
from shared.settings import load
from tests.services.alerts.api.conftest import client_of, create_app
from tests.services.alerts.standing import change, rows
from tests.services.alerts.subscribers.conftest import PUBLIC_URL, UNSUBSCRIBE_KEY, MakeSender
from tests.services.alerts.subscribers.told import (
    STANDING,
    deliveries,
    ended,
    failed,
    open_alert,
    set_clock_forward,
    tell,
    tell_all,
)
from tests.support.databases import Database
from tests.support.mailbox import Mailbox
from tests.support.registry import Building, add_meter, create_building
from tests.support.subscriptions import add_mail, add_webhook
from tests.support.tokens import SECRET, headers_with
from tests.support.webhook_receiver import receiving

NOBODY_LISTENS = "smtp://127.0.0.1:9"
MANY = 3000

TEXTS = {
    "en": ("Silent: 1 gateway and 4 meters", "Unsubscribe: "),
    "da": ("Tavse: 1 gateway og 4 målere", "Afmeld: "),
}
"""Subject, and what stands before the link."""

CLOSED = """
    INSERT INTO alert (
        id, tenant_id, type, installation_id, since, opened_at, opened_because, closed_at, closed_because)
    SELECT id, :tenant, 'installation.stale', :installation, now(), now(), 'silence', now(), 'heard'
    FROM unnest(cast(:ids AS uuid[])) AS made (id)
"""


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox.open() as mailbox:
        yield mailbox


@pytest.fixture
async def service(
    database: Database, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the HTTP face of a service that sends by that server; it judges and sends nothing itself."""
    for name, value in {
        "DATABASE_URL": database.alerts_url,
        "BROKER_URL": "amqp://127.0.0.1:1/none",
        "SMTP_URL": mailbox.url,
        "SMTP_WITHOUT_TLS": "true",
        "MAIL_FROM": "M-Bus alerts <alerts@example.com>",
        "PUBLIC_URL": PUBLIC_URL,
        "UNSUBSCRIBE_KEY": UNSUBSCRIBE_KEY,
    }.items():
        monkeypatch.setenv(f"MBUS_ALERTS_{name}", value)
    monkeypatch.setenv("MBUS_JWT_SECRET", SECRET)
    app = create_app(load(AlertsSettings))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


async def tell_silence(engine: AsyncEngine, building: Building, number: int = 0) -> UUID:
    """Open an alert of the building's meter of that number, and make its deliveries. The alert."""
    meter = building.installation_ids[number]
    alert = await open_alert(engine, building, meter)
    await tell(engine, building, "installation.stale", alert, meter)
    return alert


@pytest.mark.parametrize("language", TEXTS)
async def test_what_comes_together_is_one_mail_in_the_readers_language(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender, language: str
) -> None:
    other = await create_building(engine, meters=0, tenant_id=building.tenant_id)
    await add_meter(engine, other, "80000000")
    mail = await add_mail(engine, building.tenant_id, "vaert@example.com", language=language)
    for number in range(3):
        await tell_silence(engine, building, number)
    await tell_silence(engine, other)
    await tell(engine, building, "gateway.silent", await open_alert(engine, building, gateway_id=building.gateway_id))
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    (received,) = mailbox.received
    assert (received.sender, received.recipients) == ("alerts@example.com", ("vaert@example.com",))
    subject, unsubscribe = TEXTS[language]
    assert received.subject == subject
    for body in (received.text, received.html):
        assert building.property_name in body
        assert other.property_name in body
        assert building.gateway_id in body
    assert f"{unsubscribe}{received.unsubscribe_url}" in received.text
    assert received.unsubscribe_url in received.html
    assert await deliveries(engine, mail) == [
        *[("installation.stale", "delivered")] * 4,
        ("gateway.silent", "delivered"),
    ]
    assert await rows(engine, STANDING, id=mail) == [(True, None, 0, False)]


async def test_reminders_are_a_mail_of_their_own(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    first, second, third = building.installation_ids
    reminded = [
        ("installation.reminder", await open_alert(engine, building, meter), meter) for meter in (first, second)
    ]
    news = ("installation.stale", await open_alert(engine, building, third), third)
    await tell_all(engine, building, [reminded[0], news, reminded[1]])
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    assert sorted(one.subject for one in mailbox.received) == [
        f"2 meters are still silent in {building.property_name}",
        f"Meter 70000000 is silent in {building.property_name}",
    ]
    assert {state for _, state in await deliveries(engine, mail)} == {"delivered"}


async def test_a_test_on_request_arrives_alone_and_at_once(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender, service: httpx2.AsyncClient
) -> None:
    headers = headers_with("alerts:read alerts:write")(building.tenant_id)
    wanted = {"name": "The caretaker", "mail_address": "vaert@example.com", "language": "da"}
    made = await service.post("/subscriptions", headers=headers, json=wanted)
    assert made.status_code == 201, made.text
    mail = UUID(made.json()["id"])
    await tell_silence(engine, building)
    asked = await service.post(f"/subscriptions/{mail}/test", headers=headers)
    assert asked.status_code == 202, asked.text
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    trial, news = sorted(mailbox.received, key=lambda one: "Test" not in one.subject)
    ((tenant,),) = await rows(engine, "SELECT name FROM tenant")
    assert trial.subject == f"Test: alarmer fra {tenant} når frem til denne adresse"
    assert "Abonnement: The caretaker" in trial.text
    assert news.subject == f"Måler 70000000 er tavs i {building.property_name}"
    assert str(trial.message["Message-ID"]) == f"<{asked.json()['delivery_id']}@example.com>"


async def test_a_time_zone_that_this_machine_does_not_know_is_utc(
    engine: AsyncEngine,
    building: Building,
    mailbox: Mailbox,
    make_sender: MakeSender,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await change(engine, "UPDATE tenant SET time_zone = 'Mars/Olympus' WHERE id = :id", id=building.tenant_id)
    mail = await add_mail(engine, building.tenant_id)
    await tell_silence(engine, building)
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    assert "Times are those of the zone UTC." in mailbox.received[0].text
    assert "time_zone_unknown" in capsys.readouterr().out


async def test_it_is_told_that_another_subscription_was_disabled(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    secret = new_secret()
    async with receiving(secret) as gone:
        gone.answer = lambda _: 410
        await add_webhook(engine, building.tenant_id, gone.url, secret=secret, name="Tickets")
        await add_mail(engine, building.tenant_id)
        await tell_silence(engine, building)
        async with make_sender(smtp_url=mailbox.url):
            await mailbox.wait_for(2)
    (notice,) = [one for one in mailbox.received if "silent" not in one.subject]
    assert notice.subject == "The subscription Tickets has been disabled"
    assert "It went to 127.0.0.1." in notice.text
    assert gone.url not in notice.text


async def test_a_mail_whose_answer_was_lost_comes_again_under_the_same_message_id(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    mailbox.drops_at = {"DATA"}
    await tell_silence(engine, building)
    async with make_sender(smtp_url=mailbox.url):
        await failed(engine, mail, 1)
        # What came since is a mail of its own: the first one is what it was.
        await tell_silence(engine, building, 1)
        await set_clock_forward(engine, "1 hour")
        await failed(engine, mail, 2)
        mailbox.drops_at = set()
        await set_clock_forward(engine, "1 hour")
        await ended(engine, mail)
    of_first = [
        one for one in mailbox.received if one.message["Message-ID"] == mailbox.received[0].message["Message-ID"]
    ]
    assert len(of_first) >= 2
    assert {(one.subject, one.text, one.html, str(one.message["Date"])) for one in of_first} == {
        (one.subject, one.text, one.html, str(one.message["Date"])) for one in of_first[:1]
    }
    assert len({str(one.message["Message-ID"]) for one in mailbox.received}) == 2
    assert await rows(engine, STANDING, id=mail) == [(True, None, 0, False)]


async def test_one_click_on_the_headers_ends_it_and_what_waits_is_not_sent(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender, service: httpx2.AsyncClient
) -> None:
    mail = await add_mail(engine, building.tenant_id, "vaert@example.com")
    other = await add_mail(engine, building.tenant_id, "kontor@example.com")
    await tell_silence(engine, building)
    async with make_sender(smtp_url=mailbox.url) as sender:
        await mailbox.wait_for(2)
        await ended(engine, mail)
        (received,) = [one for one in mailbox.received if one.recipients == ("vaert@example.com",)]
        assert received.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert received.unsubscribe_url.startswith(f"{PUBLIC_URL}/unsubscribe/")
        # Programs that look at mails follow what they find in them.
        assert (await service.get(received.unsubscribe_url)).status_code == 200
        assert await rows(engine, STANDING, id=mail) == [(True, None, 0, False)]
        await change(engine, "UPDATE subscription SET held_until = now() + interval '1 hour' WHERE id = :id", id=mail)
        await tell_silence(engine, building, 1)
        await mailbox.wait_for(3)

        answer = await service.post(received.unsubscribe_url, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert not answer.history
        await tell_silence(engine, building, 2)
        await mailbox.wait_for(4)
        await ended(engine, other)
        await sender.send_due()
    assert [one.recipients for one in mailbox.received].count(("vaert@example.com",)) == 1
    assert await deliveries(engine, mail) == [("installation.stale", "delivered"), ("installation.stale", "disabled")]
    assert await deliveries(engine, other) == [("installation.stale", "delivered")] * 3
    assert await rows(engine, STANDING, id=mail) == [(False, "unsubscribed", 0, False)]


async def test_a_mail_server_that_is_away_for_days_disables_nobody(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    """It is ours. What is five days old is given up all the same, and mails go out again when the server is back."""
    mail = await add_mail(engine, building.tenant_id)
    await tell_silence(engine, building)
    async with make_sender(smtp_url=NOBODY_LISTENS):
        for times in (1, 2, 3):
            await failed(engine, mail, times)
            assert await rows(engine, STANDING, id=mail) == [(True, None, times, False)]
            soon = "SELECT DISTINCT next_attempt_at <= now() + interval '5 minutes' FROM delivery"
            assert await rows(engine, soon) == [(True,)], "it goes out soon after the server is back"
            await set_clock_forward(engine, "2 days")
        await ended(engine, mail)
        assert await rows(engine, STANDING, id=mail) == [(True, None, 4, False)]
        assert await rows(engine, "SELECT held_until <= now() + interval '5 minutes' FROM subscription") == [(True,)]
    assert await deliveries(engine, mail) == [("installation.stale", "gave_up")]
    await tell_silence(engine, building, 1)
    await set_clock_forward(engine, "5 minutes")
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    assert len(mailbox.received) == 1
    assert await rows(engine, STANDING, id=mail) == [(True, None, 0, False)]


async def test_a_recipient_that_is_refused_for_five_days_is_disabled(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    secret = new_secret()
    mailbox.answers["RCPT"] = "550 5.1.1 <vaert@example.com>: no such mailbox here"
    async with receiving(secret) as other:
        mail = await add_mail(engine, building.tenant_id, "vaert@example.com")
        await add_webhook(engine, building.tenant_id, other.url, secret=secret, event_types=["gateway.silent"])
        await tell_silence(engine, building)
        async with make_sender(smtp_url=mailbox.url):
            await failed(engine, mail, 1)
            await set_clock_forward(engine, "4 days")
            await failed(engine, mail, 2)
            assert await rows(engine, STANDING, id=mail) == [(True, None, 2, True)]
            await set_clock_forward(engine, "25 hours")
            await ended(engine, mail)
            (notice,) = await other.wait_for(1)
    assert await rows(engine, STANDING, id=mail) == [(False, "failing", 3, True)]
    assert await deliveries(engine, mail) == [("installation.stale", "gave_up")]
    assert notice.event["data"]["kind"] == "mail"
    assert notice.event["data"]["target"] == "example.com"
    assert "no such mailbox" in notice.event["data"]["reason"]


async def test_a_mail_server_that_hangs_keeps_no_webhook_waiting(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    secret, meter = new_secret(), building.installation_ids[0]
    mailbox.hangs_at = {"MAIL"}
    for number in range(20):
        await add_mail(engine, building.tenant_id, f"vaert{number}@example.com")
    async with receiving(secret) as live:
        await add_webhook(engine, building.tenant_id, live.url, secret=secret)
        alert = await tell_silence(engine, building)
        async with make_sender(smtp_url=mailbox.url, mail_timeout_s=30):
            await live.wait_for(1)
            await mailbox.wait_for_command("MAIL")
            waits = []
            for number, kind in enumerate(["installation.recovered", "installation.stale"] * 3, start=2):
                begun = time.monotonic()
                await tell(engine, building, kind, alert, meter)
                await live.wait_for(number)
                waits.append(time.monotonic() - begun)
            hanging = await rows(
                engine, "SELECT count(*) FROM subscription WHERE url IS NULL AND claimed_until > now()"
            )
            assert hanging[0][0] >= 1, "the mail server was still being waited for"
    # Half a second at most until it is looked for, and a second that another may cost it.
    assert max(waits) < 1.5, waits
    assert mailbox.received == []


async def test_thousands_of_events_are_a_few_short_mails(
    engine: AsyncEngine, building: Building, mailbox: Mailbox, make_sender: MakeSender
) -> None:
    mail = await add_mail(engine, building.tenant_id)
    alerts = [uuid4() for _ in range(MANY)]
    await change(engine, CLOSED, tenant=building.tenant_id, installation=building.installation_ids[0], ids=alerts)
    await tell_all(engine, building, [("installation.stale", alert, uuid4()) for alert in alerts])
    async with make_sender(smtp_url=mailbox.url):
        await ended(engine, mail)
    house = building.property_name
    assert [one.subject for one in mailbox.received] == [
        f"2,000 meters are silent in {house}",
        f"1,000 meters are silent in {house}",
    ]
    for received in mailbox.received:
        assert "and 1,950 more" in received.text or "and 950 more" in received.text
        assert len(received.raw) < 50_000
    assert await rows(
        engine, "SELECT count(*), count(DISTINCT digest_id) FROM delivery WHERE delivered_at IS NOT NULL"
    ) == [(MANY, 2)]
