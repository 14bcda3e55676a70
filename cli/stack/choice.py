"""Which servers a stack runs on: yours, else containers, else embedded ones; and from then on the same."""

from collections.abc import Callable

from pydantic import SecretStr

from cli.stack import compose
from cli.stack.errors import StackError
from cli.stack.own_servers import management_beside
from cli.stack.settings import UpSettings
from cli.stack.state import Servers

EMBEDDED = Servers("local")
CONTAINERS = Servers("docker")


def choose_servers(
    settings: UpSettings,
    remembered: Servers | None,
    *,
    tell: Callable[[str], None],
    find_engine: Callable[[], str | None] = compose.find_engine,
) -> Servers:
    """The servers to run on. `remembered` are those of the time before, which hold the data; settings go before them.

    `find_engine` says why Docker cannot be used, or None when it can.
    """
    if settings.has_own_servers:
        return _own(settings)
    if settings.up_mode == "embedded":
        return EMBEDDED
    if settings.up_mode is None and remembered is not None:
        if remembered == CONTAINERS and (why := find_engine()) is not None:
            raise StackError(
                f"the stack's data is in Docker, and {why}; start Docker, or choose MBUS_UP_MODE=embedded for a new one"
            )
        return remembered
    why = find_engine()
    if why is None:
        return CONTAINERS
    if settings.up_mode == "docker":
        raise StackError(f"MBUS_UP_MODE is docker, and {why}")
    tell(f"Not in containers: {why}")
    return EMBEDDED


def _own(settings: UpSettings) -> Servers:
    if settings.up_mode == "docker":
        raise StackError("MBUS_UP_MODE=docker leaves no place for MBUS_UP_DATABASE_URL and MBUS_UP_BROKER_URL")
    database_url, broker_url = _plain(settings.up_database_url), _plain(settings.up_broker_url)
    management_url = mqtt_url = None
    if broker_url is not None:
        management_url = _plain(settings.broker_management_url) or management_beside(broker_url)
        mqtt_url = _plain(settings.mqtt_url)
    return Servers("local", database_url, broker_url, management_url, mqtt_url)


def _plain(url: SecretStr | None) -> str | None:
    return None if url is None else url.get_secret_value()
