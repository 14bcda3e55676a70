"""What `mbus up` says at its end: where things are, what arrived, and what to do next."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from cli.demo import SILENT_SERIAL
from cli.stack.arrivals import Arrivals
from cli.stack.checkout import Checkout
from cli.stack.up import Outcome


def closing_words(outcome: Outcome, checkout: Checkout, *, now: datetime) -> str:
    """The text, with the demo tenant's token in it and no other secret."""
    variables = outcome.variables
    first = "The stack runs" if outcome.changed else "The stack runs already; nothing was changed. It runs"
    return f"""
{first} {outcome.servers}.

  query    {variables["MBUS_QUERY_URL"]}   (try {variables["MBUS_QUERY_URL"]}/docs)
  alerts   {variables["MBUS_ALERTS_URL"]}
  ingest   {variables["MBUS_INGEST_URL"]}
  broker   {_broker(variables)}   (`mbus gateway add` lets a gateway in)

{_arrived(outcome.arrivals, now)}

Ask for the longest silent meters of the demo tenant:

  MBUS_TOKEN={variables["MBUS_TOKEN"]}
  curl -sS -H "Authorization: Bearer $MBUS_TOKEN" '{variables["MBUS_QUERY_URL"]}/installations?limit=3'

All addresses, logins and this token are in {checkout.env_file.relative_to(checkout.root)}.
`make status` and `make logs` show how it does, `make down` stops it and keeps the data, `make clean` removes that too.
"""


def _broker(variables: Mapping[str, str]) -> str:
    """Where gateways publish, without anybody's login."""
    amqp = urlsplit(variables["MBUS_BROKER_URL"])
    shown = [f"{amqp.scheme}://{amqp.netloc.rpartition('@')[2]}"]
    if "MBUS_MQTT_URL" in variables:
        shown.append(variables["MBUS_MQTT_URL"])
    return ", ".join(shown)


def _arrived(arrivals: Arrivals, now: datetime) -> str:
    heard = arrivals.installations - len(arrivals.never_seen)
    text = f"Readings arrive: {arrivals.readings:,} were read back through the API, of {heard} meters"
    if arrivals.newest is not None:
        text += f", the newest {max(0, round((now - arrivals.newest).total_seconds())):,} s old"
    text += "."
    if SILENT_SERIAL in arrivals.never_seen:
        text += f"\nMeter {SILENT_SERIAL} is silent on purpose, so that there is an alert to look at."
    return text
