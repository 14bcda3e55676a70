"""The parts of a mail, one a kind of news: meters by property, with what there is to say of each. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar

from services.alerts.mail.news import News
from services.alerts.mail.pages import Entry, Group, Section
from services.alerts.mail.phrasing import Phrasing, clip
from shared.messages.alert_events import GatewayAlert, InstallationAlert, LastReading

LISTED_AT_MOST = 50
"""Meters or gateways in one part of a mail; of the others only their number is told."""

NAMELESS = "\N{EN DASH}"

A = TypeVar("A")


def sections(news: News, phrasing: Phrasing, *, now: datetime | None = None) -> tuple[Section, ...]:
    """The parts of a mail, silence first; with `now` it is told how long each silence has lasted by then."""
    words = phrasing.words.digest

    def silent(since: datetime) -> str:
        if now is None:
            return phrasing.words.entry.silent_since.format(since=phrasing.at(since))
        duration = phrasing.lasting(since, now)
        return phrasing.words.entry.silent_since_for.format(since=phrasing.at(since), duration=duration)

    found = (
        _of_gateways(
            words.silent_gateways,
            news.silent_gateways,
            phrasing,
            lambda one: _silent_gateway(one, phrasing, silent(one.silent_since)),
            note=words.not_one_by_one,
        ),
        _of_meters(
            words.silent_meters,
            news.silent_meters,
            phrasing,
            lambda one: _silent_meter(one, phrasing, silent(one.silent_since)),
        ),
        _of_gateways(
            words.gateways_heard_again,
            news.heard_gateways,
            phrasing,
            lambda one: _heard_gateway(one, phrasing),
        ),
        _of_meters(words.meters_heard_again, news.heard_meters, phrasing, lambda one: _heard_meter(one, phrasing)),
    )
    return tuple(section for section in found if section.groups)


def _of_gateways(
    heading: str,
    alerts: Sequence[GatewayAlert],
    phrasing: Phrasing,
    entry: Callable[[GatewayAlert], Entry],
    *,
    note: str = "",
) -> Section:
    listed = tuple(entry(one) for one in alerts[:LISTED_AT_MOST])
    groups = (Group("", "", listed),) if listed else ()
    return Section(heading, groups, _more(alerts, phrasing), note)


def _of_meters(
    heading: str,
    alerts: Sequence[InstallationAlert],
    phrasing: Phrasing,
    entry: Callable[[InstallationAlert], Entry],
) -> Section:
    groups: list[Group] = []
    left = LISTED_AT_MOST
    for _, of_property in groupby(alerts, key=lambda one: one.property_id):
        meters = list(of_property)
        name, address = clip(meters[0].property_name) or NAMELESS, clip(meters[0].address)
        count = phrasing.counted(phrasing.words.meters, len(meters))
        entries = tuple(entry(one) for one in meters[:left])
        groups.append(Group(f"{name} ({count})", "" if address == name else address, entries))
        left -= len(entries)
        if not left:
            break
    return Section(heading, tuple(groups), _more(alerts, phrasing))


def _more(alerts: Sequence[A], phrasing: Phrasing) -> str:
    left_out = len(alerts) - LISTED_AT_MOST
    return phrasing.words.entry.more.format(count=phrasing.number(left_out)) if left_out > 0 else ""


def _silent_meter(alert: InstallationAlert, phrasing: Phrasing, silence: str) -> Entry:
    last = (
        phrasing.words.entry.never_heard
        if alert.last_reading is None
        else _reading(alert, alert.last_reading, phrasing)
    )
    return Entry(_meter(alert, phrasing), (silence, last, *_by_gateway(alert, phrasing)))


def _heard_meter(alert: InstallationAlert, phrasing: Phrasing) -> Entry:
    again = phrasing.words.entry.heard_again_after.format(
        at=phrasing.at(alert.since),
        since=phrasing.at(alert.silent_since),
        duration=phrasing.lasting(alert.silent_since, alert.since),
    )
    last = () if alert.last_reading is None else (_reading(alert, alert.last_reading, phrasing),)
    return Entry(_meter(alert, phrasing), (again, *last, *_by_gateway(alert, phrasing)))


def _meter(alert: InstallationAlert, phrasing: Phrasing) -> str:
    return phrasing.words.entry.meter.format(
        unit=clip(alert.unit_label) or NAMELESS,
        medium=phrasing.medium(alert.medium),
        serial=clip(alert.meter_serial),
    )


def _reading(alert: InstallationAlert, reading: LastReading, phrasing: Phrasing) -> str:
    words, battery = phrasing.words.entry, reading.battery_level_pct
    at, value = phrasing.at(reading.timestamp), phrasing.amount(reading.value, alert.unit_of_measure)
    if battery is None:
        return words.last_reading.format(at=at, value=value)
    return words.last_reading_and_battery.format(at=at, value=value, battery=phrasing.percent(battery))


def _by_gateway(alert: InstallationAlert, phrasing: Phrasing) -> tuple[str, ...]:
    if alert.gateway_id is None:
        return ()
    return (phrasing.words.entry.by_gateway.format(id=clip(alert.gateway_id)),)


def _silent_gateway(alert: GatewayAlert, phrasing: Phrasing, silence: str) -> Entry:
    words = phrasing.words.entry
    heard = alert.last_heard_at
    last = words.never_heard if heard is None else words.last_heard.format(at=phrasing.at(heard))
    return Entry(_gateway(alert, phrasing), (silence, last, _behind(alert, phrasing)))


def _heard_gateway(alert: GatewayAlert, phrasing: Phrasing) -> Entry:
    # When it was first heard again is not known, only by when: see `GatewayAlert.since`.
    again = phrasing.words.entry.gateway_heard_again_by.format(
        since=phrasing.at(alert.silent_since),
        at=phrasing.at(alert.since),
        duration=phrasing.lasting(alert.silent_since, alert.since),
    )
    return Entry(_gateway(alert, phrasing), (again, _behind(alert, phrasing)))


def _gateway(alert: GatewayAlert, phrasing: Phrasing) -> str:
    name, gateway_id = clip(alert.gateway_name), clip(alert.gateway_id)
    if name in {"", gateway_id}:
        return gateway_id
    return phrasing.words.entry.gateway.format(name=name, id=gateway_id)


def _behind(alert: GatewayAlert, phrasing: Phrasing) -> str:
    words = phrasing.words
    meters = phrasing.counted(words.meters, alert.installations)
    places = phrasing.counted(words.in_properties, alert.properties)
    if not alert.addresses:
        return words.entry.to_hear.format(meters=meters, places=places)
    addresses = "; ".join(clip(address) for address in alert.addresses)
    others = alert.properties - len(alert.addresses)
    if others > 0:
        addresses = f"{addresses}; {words.entry.more.format(count=phrasing.number(others))}"
    return words.entry.to_hear_in.format(meters=meters, places=places, addresses=addresses)
