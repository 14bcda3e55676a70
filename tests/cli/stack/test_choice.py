"""Servers of yours come first, then Docker, then embedded ones; and what a stack ran on, it runs on again."""

from typing import Any

import pytest

from cli.stack.choice import CONTAINERS, EMBEDDED, choose_servers
from cli.stack.errors import StackError
from cli.stack.own_servers import management_beside, mqtt_beside
from cli.stack.settings import UpSettings
from cli.stack.state import Servers

DATABASE = "postgresql://me:secret@db.example/mbus"
BROKER = "amqp://me:secret@mq.example/site"


def choose(remembered: Servers | None = None, *, engine: str | None = "no engine answers", **settings: Any) -> Servers:
    told: list[str] = []
    chosen = choose_servers(
        UpSettings.model_validate(settings), remembered, tell=told.append, find_engine=lambda: engine
    )
    asked = not settings and remembered is None
    assert told == (["Not in containers: no engine answers"] if asked and engine else [])
    return chosen


def test_servers_that_are_named_are_used_each_for_itself() -> None:
    assert choose(up_database_url=DATABASE) == Servers("local", database_url=DATABASE)
    assert choose(up_broker_url=BROKER, engine=None) == Servers(
        "local", broker_url=BROKER, management_url="http://me:secret@mq.example:15672"
    )
    both = choose(
        up_database_url=DATABASE,
        up_broker_url=BROKER,
        broker_management_url="http://a:b@mq.example:8080",
        mqtt_url="mqtt://mq.example:1884",
    )
    assert both == Servers("local", DATABASE, BROKER, "http://a:b@mq.example:8080", "mqtt://mq.example:1884")


def test_without_them_containers_are_used_where_an_engine_answers_and_embedded_servers_elsewhere() -> None:
    assert choose(engine=None) == CONTAINERS
    assert choose() == EMBEDDED


def test_a_way_that_was_asked_for_is_taken_or_refused() -> None:
    assert choose(engine=None, up_mode="embedded") == EMBEDDED
    assert choose(engine=None, up_mode="docker") == CONTAINERS
    with pytest.raises(StackError, match="MBUS_UP_MODE is docker, and no engine answers"):
        choose(up_mode="docker")
    with pytest.raises(StackError, match="leaves no place"):
        choose(up_mode="docker", up_database_url=DATABASE)


def test_what_has_the_data_is_used_again() -> None:
    own = Servers("local", database_url=DATABASE)
    assert choose(EMBEDDED, engine=None) == EMBEDDED
    assert choose(own, engine=None) == own
    assert choose(CONTAINERS, engine=None) == CONTAINERS
    assert choose(EMBEDDED, engine=None, up_mode="docker") == CONTAINERS


def test_data_in_docker_is_not_left_behind_in_silence() -> None:
    with pytest.raises(StackError, match=r"data is in Docker, and no engine answers; start Docker"):
        choose(CONTAINERS)
    assert choose(CONTAINERS, up_mode="embedded") == EMBEDDED


@pytest.mark.parametrize(
    ("broker", "management", "mqtt"),
    [
        ("amqp://me:se%2Fcret@mq:5673/site", "http://me:se%2Fcret@mq:15672", "mqtt://mq:1883"),
        ("amqp://mq", "http://guest:guest@mq:15672", "mqtt://mq:1883"),
        ("amqps://me:secret@[::1]/", "https://me:secret@[::1]:15671", "mqtts://[::1]:8883"),
    ],
)
def test_the_management_api_and_mqtt_are_beside_the_broker(broker: str, management: str, mqtt: str) -> None:
    assert management_beside(broker) == management
    assert mqtt_beside(broker) == mqtt
