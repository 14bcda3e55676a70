"""Which addresses DNS has for a name, and in which order: a real name server, on loopback."""

import time
from collections.abc import AsyncIterator

import pytest

from services.alerts.webhooks import resolving
from services.alerts.webhooks.failures import FailureKind, WebhookFailure
from services.alerts.webhooks.resolving import TRY_S, Resolver
from tests.support.name_server import NameServer

NAME = "hooks.customer.com"


@pytest.fixture
async def resolver(name_server: NameServer) -> AsyncIterator[Resolver]:
    resolver = Resolver([name_server.address])
    yield resolver
    await resolver.aclose()


@pytest.mark.parametrize("as_machine", [False, True])
async def test_addresses_of_both_kinds_are_found_those_of_ipv4_first(
    name_server: NameServer, resolver: Resolver, as_machine: bool
) -> None:
    name_server.names[NAME] = [["2606:4700::2", "1.1.1.2", "2606:4700::1", "1.1.1.1", "1.1.1.1"]]
    found = [str(one) for one in await resolver.addresses(NAME, as_machine=as_machine)]
    assert sorted(found[:2]) == ["1.1.1.1", "1.1.1.2"]
    assert sorted(found[2:]) == ["2606:4700::1", "2606:4700::2"]


async def test_the_order_of_the_name_server_is_kept(name_server: NameServer, resolver: Resolver) -> None:
    name_server.names[NAME] = [["1.1.1.3", "1.1.1.1", "1.1.1.2"]]
    assert [str(one) for one in await resolver.addresses(NAME, as_machine=False)] == ["1.1.1.3", "1.1.1.1", "1.1.1.2"]


@pytest.mark.parametrize("silent", [4, 6])
async def test_where_nobody_answers_for_one_kind_the_other_counts(
    name_server: NameServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    monkeypatch.setattr(resolving, "WITHIN_S", 0.3)
    name_server.names[NAME] = [["1.1.1.1", "2606:4700::1"]]
    name_server.silent.add((NAME, silent))
    begun = time.monotonic()
    (found,) = await resolver.addresses(NAME, as_machine=False)
    assert found.version == 10 - silent
    assert time.monotonic() - begun < TRY_S


@pytest.mark.parametrize("as_machine", [False, True])
async def test_where_nobody_answers_at_all_it_ends_in_time(
    name_server: NameServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, as_machine: bool
) -> None:
    monkeypatch.setattr(resolving, "WITHIN_S", 0.3)
    name_server.silent |= {(NAME, 4), (NAME, 6)}
    begun = time.monotonic()
    with pytest.raises(WebhookFailure) as refusal:
        await resolver.addresses(NAME, as_machine=as_machine)
    assert refusal.value.kind is FailureKind.NAME_NOT_RESOLVED
    assert time.monotonic() - begun < TRY_S


async def test_a_name_is_asked_for_as_it_is_without_the_machines_domains(
    name_server: NameServer, resolver: Resolver
) -> None:
    with pytest.raises(WebhookFailure):
        await resolver.addresses(NAME, as_machine=False)
    assert {name for name, _ in name_server.asked} == {NAME}
