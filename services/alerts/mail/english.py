"""What mails say in English: Britain's, whose times and dates are read the same everywhere. Pure."""

from services.alerts.mail.words import (
    Counted,
    DigestWords,
    DisabledWords,
    EntryWords,
    ReminderWords,
    TrialWords,
    UnsubscribeWords,
    Words,
)
from shared.models import Medium

ENGLISH = Words(
    locale="en_GB",
    media={
        Medium.HEAT: "heat",
        Medium.COOLING: "cooling",
        Medium.COLD_WATER: "cold water",
        Medium.WARM_WATER: "warm water",
        Medium.WATER: "water",
        Medium.ELECTRICITY: "electricity",
        Medium.GAS: "gas",
        Medium.HEAT_COST_ALLOCATOR: "heat cost allocator",
    },
    hca=Counted(one="{count} unit", other="{count} units"),
    meters=Counted(one="{count} meter", other="{count} meters"),
    gateways=Counted(one="{count} gateway", other="{count} gateways"),
    properties=Counted(one="{count} property", other="{count} properties"),
    in_properties=Counted(one="in {count} property", other="in {count} properties"),
    digest=DigestWords(
        meter_silent="Meter {serial} is silent in {place}",
        meters_silent=Counted(one="{count} meter is silent in {place}", other="{count} meters are silent in {place}"),
        meter_heard="Meter {serial} is heard again in {place}",
        meters_heard=Counted(
            one="{count} meter is heard again in {place}", other="{count} meters are heard again in {place}"
        ),
        gateway_silent="Gateway {name} is silent, and {meters} behind it",
        gateways_silent=Counted(
            one="{count} gateway is silent, and {meters} behind it",
            other="{count} gateways are silent, and {meters} behind them",
        ),
        gateway_heard="Gateway {name} is heard again",
        gateways_heard=Counted(one="{count} gateway is heard again", other="{count} gateways are heard again"),
        silent="Silent: {these}",
        heard_again="Heard again: {these}",
        silent_gateways="Silent gateways",
        silent_meters="Silent meters",
        gateways_heard_again="Gateways that are heard again",
        meters_heard_again="Meters that are heard again",
        not_one_by_one="While a gateway is silent, its meters are not reported one by one.",
    ),
    reminder=ReminderWords(
        meter_still_silent="Meter {serial} is still silent in {place}",
        meters_still_silent=Counted(
            one="{count} meter is still silent in {place}", other="{count} meters are still silent in {place}"
        ),
        gateway_still_silent="Gateway {name} is still silent",
        gateways_still_silent=Counted(one="{count} gateway is still silent", other="{count} gateways are still silent"),
        both_still_silent="Still silent: {these}",
        still_silent="These alerts are still open.",
    ),
    entry=EntryWords(
        meter="{unit}: {medium}, meter {serial}",
        gateway="{name} ({id})",
        by_gateway="Gateway: {id}",
        silent_since="Silent since {since}",
        silent_since_for="Silent since {since}: for {duration}",
        never_heard="Never heard",
        last_reading="Last reading {at}: {value}",
        last_reading_and_battery="Last reading {at}: {value}, battery {battery}",
        last_heard="Last heard {at}",
        heard_again_after="Heard again {at}, after {duration} of silence since {since}",
        gateway_heard_again_by="Silent since {since}, heard again by {at}: {duration} at most",
        to_hear="Should hear {meters} {places}",
        to_hear_in="Should hear {meters} {places}: {addresses}",
        more="… and {count} more",
    ),
    trial=TrialWords(
        subject="Test: alerts of {tenant} reach this address",
        it_works="This is a test. Alerts of {tenant} reach this address.",
        of_subscription="Subscription: {name}",
        asked_for="Somebody with access to the subscription asked for it {at}. Nothing is wrong with any meter.",
    ),
    disabled=DisabledWords(
        subject="The subscription {name} has been disabled",
        what="The subscription {name} ({kind}) has been disabled since {since}.",
        to_host="It went to {host}.",
        why="Reason: {reason}",
        nothing_is_sent="No alerts go out by it until somebody enables it again.",
    ),
    kinds={"webhook": "webhook", "mail": "mail"},
    times_are_in="Times are those of the zone {zone}.",
    why_you="You get this mail because this address subscribes to alerts of meters and gateways.",
    unsubscribe="Unsubscribe",
    unsubscribing=UnsubscribeWords(
        ask="This address gets mails about meters and gateways of {tenant} by the subscription {name}. Shall they end?",
        ended="No more mails go out by the subscription {name} of {tenant}.",
        again="To get them again, ask whoever looks after the alerts of {tenant}.",
        unknown="This link leads to no subscription. It may have been removed.",
    ),
)
