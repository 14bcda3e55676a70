"""Subject lines: what is told and where, in few words. Pure."""

from collections.abc import Sequence

from services.alerts.mail.news import News
from services.alerts.mail.phrasing import Phrasing, clip
from services.alerts.mail.words import Counted
from shared.messages.alert_events import GatewayAlert, InstallationAlert

SUBJECT_AT_MOST = 120
"""Characters; readers show some 70 of them."""

NAME_IN_SUBJECT = 60
"""Characters of a name in it, so that what follows the name is seen too."""


def digest_subject(news: News, phrasing: Phrasing) -> str:
    """Such as `3 meters are silent in Havnegade 4`; of several kinds of news their numbers."""
    words = phrasing.words.digest
    match news:
        case News(silent_gateways=(), heard_gateways=(), heard_meters=()):
            return _of_meters(news.silent_meters, words.meter_silent, words.meters_silent, phrasing)
        case News(silent_gateways=(), silent_meters=(), heard_gateways=()):
            return _of_meters(news.heard_meters, words.meter_heard, words.meters_heard, phrasing)
        case News(silent_meters=(), heard_gateways=(), heard_meters=()):
            return _of_gateways(news.silent_gateways, words.gateway_silent, words.gateways_silent, phrasing)
        case News(silent_gateways=(), silent_meters=(), heard_meters=()):
            return _of_gateways(news.heard_gateways, words.gateway_heard, words.gateways_heard, phrasing)
        case _:
            return ". ".join(
                text.format(these=these)
                for text, these in (
                    (words.silent, _numbers(news.silent_gateways, news.silent_meters, phrasing)),
                    (words.heard_again, _numbers(news.heard_gateways, news.heard_meters, phrasing)),
                )
                if these
            )


def reminder_subject(news: News, phrasing: Phrasing) -> str:
    """Such as `3 meters are still silent in Havnegade 4`."""
    words = phrasing.words.reminder
    if not news.silent_gateways:
        return _of_meters(news.silent_meters, words.meter_still_silent, words.meters_still_silent, phrasing)
    if not news.silent_meters:
        return _of_gateways(news.silent_gateways, words.gateway_still_silent, words.gateways_still_silent, phrasing)
    return words.both_still_silent.format(these=_numbers(news.silent_gateways, news.silent_meters, phrasing))


def name_in_subject(name: str) -> str:
    """A name that somebody chose, as it stands in a subject."""
    return clip(name, NAME_IN_SUBJECT)


def _of_meters(meters: Sequence[InstallationAlert], one: str, several: Counted, phrasing: Phrasing) -> str:
    properties = {meter.property_id for meter in meters}
    if len(properties) > 1:
        place = phrasing.counted(phrasing.words.properties, len(properties))
    else:
        place = name_in_subject(meters[0].property_name)
    if len(meters) == 1:
        return one.format(serial=name_in_subject(meters[0].meter_serial), place=place)
    return phrasing.counted(several, len(meters), place=place)


def _of_gateways(gateways: Sequence[GatewayAlert], one: str, several: Counted, phrasing: Phrasing) -> str:
    meters = phrasing.counted(phrasing.words.meters, sum(gateway.installations for gateway in gateways))
    if len(gateways) == 1:
        name = name_in_subject(gateways[0].gateway_name) or name_in_subject(gateways[0].gateway_id)
        return one.format(name=name, meters=meters)
    return phrasing.counted(several, len(gateways), meters=meters)


def _numbers(gateways: Sequence[GatewayAlert], meters: Sequence[InstallationAlert], phrasing: Phrasing) -> str:
    return phrasing.listed(
        [
            phrasing.counted(counted, len(alerts))
            for counted, alerts in ((phrasing.words.gateways, gateways), (phrasing.words.meters, meters))
            if alerts
        ]
    )
