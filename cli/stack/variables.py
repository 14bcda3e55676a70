"""The variables of a stack on this machine: from the administrator's URLs to those of each service."""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import make_url

from cli.stack.keys import Keys
from cli.stack.services import SERVICES

WITH_BROKER = ("ingest", "alerts")
AUDIENCE = "mbus"


def server_variables(
    *, database_url: str, broker_url: str, management_url: str, mqtt_url: str | None, keys: Keys
) -> dict[str, str]:
    """What programs are told about the servers, and what signs tokens; each service has logins of its own."""
    variables = {
        "MBUS_DATABASE_URL": database_url,
        "MBUS_BROKER_URL": broker_url,
        "MBUS_BROKER_MANAGEMENT_URL": management_url,
        "MBUS_JWT_SECRET": keys.jwt,
        "MBUS_JWT_AUDIENCE": AUDIENCE,
    }
    if mqtt_url is not None:
        variables["MBUS_MQTT_URL"] = mqtt_url
    for service in SERVICES:
        login = make_url(database_url).set(username=f"mbus_{service}_{keys.name}", password=keys.service_logins)
        variables[f"MBUS_{service.upper()}_DATABASE_URL"] = login.render_as_string(hide_password=False)
    for service in WITH_BROKER:
        variables[f"MBUS_{service.upper()}_BROKER_URL"] = _with_login(
            broker_url, f"mbus-{service}-{keys.name}:{keys.service_logins}"
        )
    return variables


def service_urls(ports: Mapping[str, int]) -> dict[str, str]:
    """Where the services are."""
    return {f"MBUS_{service.upper()}_URL": f"http://127.0.0.1:{ports[service]}" for service in SERVICES}


def _with_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))
