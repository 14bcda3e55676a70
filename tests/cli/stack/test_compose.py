"""What Docker and compose answered on real machines is told in one line, and a checkout keeps its secrets and ports."""

import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import compose, ports
from cli.stack.compose_answers import Container, compose_problem, engine_problem, parse_containers, why_failed
from cli.stack.compose_env import PORTS, SECRETS, host_variables, keep_env
from cli.stack.env_file import read_env_file
from cli.stack.errors import StackError
from services.alerts.settings import AlertsSettings
from services.alerts.webhooks.allow_list import AllowList

ROOT = Path(__file__).parents[3]

OF_THE_STACK = {"database_url", "broker_url", "host", "port", "prefetch", "grace_period_s"}
"""Settings of alerts that are as the rest of the compose file is."""

NO_DAEMON = "\nCannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
NO_PERMISSION = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get"
    ' "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/info": dial unix /var/run/docker.sock: connect: permission denied\n'
)

PORT_OF_A_CONTAINER = (
    " Container x-database-1  Starting\nError response from daemon: driver failed programming external connectivity on"
    " endpoint x-database-1 (4e2f7c): Bind for 127.0.0.1:25432 failed: port is already allocated\n"
)
PORT_OF_A_PROGRAM = (
    "Error response from daemon: driver failed programming external connectivity on endpoint x-query-1 (4cd75):"
    " Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use\n"
)
BASE_IMAGE_OUT_OF_REACH = """\
#3 [broker internal] load metadata for registry.example/library/rabbitmq:4-management
#4 [migrate internal] load metadata for registry.example/library/python:3.13-slim
#4 DONE 0.1s
#3 ERROR: failed to do request: Head "https://registry.example/v2/library/rabbitmq/manifests/4-management"
------
 > [broker internal] load metadata for registry.example/library/rabbitmq:4-management:
------
failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: failed to create LLB
"""
IMAGE_OUT_OF_REACH = """\
 database Pulling
 database Error Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host
Error response from daemon: Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host
"""
BUILD_STEP_FAILED = """\
#5 0.644 ERROR: No matching distribution found for nosuch==9
------
 > [migrate 4/8] RUN pip install -r requirements.txt:
0.644 ERROR: No matching distribution found for nosuch==9
------
failed to solve: executor failed running [/bin/sh -c pip install -r requirements.txt]: exit code: 1
"""
BUILD_STEP_FAILED_LATER_BUILDKIT = (
    'failed to solve: process "/bin/sh -c pip install -r requirements.txt" did not complete successfully: exit code: 1'
)
UNHEALTHY = " Container x-alerts-1  Waiting\ncontainer x-alerts-1 is unhealthy\n"


def test_an_engine_that_answers_is_taken() -> None:
    assert engine_problem(0, "20.10.24+dfsg1 linux\n", "") is None


@pytest.mark.parametrize(
    ("returncode", "answer", "complaint", "problem"),
    [
        (1, "\n", NO_DAEMON, "no Docker daemon runs"),
        # Older clients print the error and exit with 0.
        (0, " \n", NO_DAEMON, "no Docker daemon runs"),
        (1, " \n", NO_PERMISSION, "there is no permission to talk to the Docker daemon"),
        (1, "", "", "no Docker engine answers: it said nothing"),
        (0, "28.2.2 windows\n", "", "the Docker engine runs windows containers, not linux"),
    ],
)
def test_a_client_without_a_usable_engine_is_told_in_one_line(
    returncode: int, answer: str, complaint: str, problem: str
) -> None:
    assert engine_problem(returncode, answer, complaint) == problem


@pytest.mark.parametrize("answer", ["2.26.1-4\n", "v2.40.3", "5.0.0"])
def test_a_recent_compose_will_do(answer: str) -> None:
    assert compose_problem(0, answer) is None


@pytest.mark.parametrize(
    ("returncode", "answer", "problem"),
    [(1, "", "no compose plugin"), (0, "1.29.2", "older than 2.20"), (0, "unknown", "no compose plugin")],
)
def test_a_missing_or_old_compose_is_told(returncode: int, answer: str, problem: str) -> None:
    assert problem in str(compose_problem(returncode, answer))


def test_without_a_client_there_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compose.find_engine() == "there is no Docker client on PATH"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (PORT_OF_A_CONTAINER, "port 25432 was taken by another program meanwhile: start again"),
        (PORT_OF_A_PROGRAM, "port 8000 was taken by another program meanwhile: start again"),
        (BASE_IMAGE_OUT_OF_REACH, "the image registry.example/library/rabbitmq:4-management cannot be pulled"),
        (IMAGE_OUT_OF_REACH, "an image cannot be pulled (database)"),
        (BUILD_STEP_FAILED, "an image cannot be built: `pip install -r requirements.txt` failed"),
        (BUILD_STEP_FAILED_LATER_BUILDKIT, "an image cannot be built: `pip install -r requirements.txt` failed"),
        (BUILD_STEP_FAILED + "write /var/lib/x: no space left on device\n", "the disk is full"),
        ("something new\n\n", "docker compose failed: something new"),
        ("", "docker compose failed: it said nothing"),
    ],
)
def test_a_failure_of_compose_is_told_in_one_line(output: str, reason: str) -> None:
    assert why_failed(output, []) == reason


def test_containers_that_are_not_well_are_named() -> None:
    containers = [
        Container("alerts", "running", "unhealthy", 0),
        Container("broker", "running", "healthy", 0),
        Container("ingest", "restarting", "", 1),
        Container("migrate", "exited", "", 0),
        Container("query", "created", "", 0),
    ]
    assert why_failed(UNHEALTHY, containers) == "alerts is unhealthy, ingest is restarting"


def test_a_one_shot_that_failed_is_named_with_its_exit_code() -> None:
    output = 'service "migrate" didn\'t complete successfully: exit 2\n'
    assert why_failed(output, [Container("migrate", "exited", "", 2)]) == "migrate ended with exit code 2"


@pytest.mark.parametrize(("prefix", "separator", "suffix"), [("", "\n", "\n"), ("[", ",", "]")])
def test_containers_are_read_from_both_forms_of_compose(prefix: str, separator: str, suffix: str) -> None:
    published = (
        '{"URL":"127.0.0.1","TargetPort":8000,"PublishedPort":8010,"Protocol":"tcp"},'
        '{"URL":"","TargetPort":9000,"PublishedPort":0,"Protocol":"tcp"}'
    )
    rows = (
        f'{{"Service":"query","State":"running","Health":"healthy","ExitCode":0,"Publishers":[{published}]}}',
        '{"Service":"migrate","State":"exited","Health":"","ExitCode":0,"Publishers":null}',
    )
    assert parse_containers(prefix + separator.join(rows) + suffix) == [
        Container("migrate", "exited", "", 0),
        Container("query", "running", "healthy", 0, frozenset({8010})),
    ]


def test_no_containers_are_no_error() -> None:
    assert parse_containers("") == []


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program has while the test runs."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def ignore(_: str) -> None:
    """Nobody is told."""


def test_the_first_file_has_a_secret_of_its_own_for_everyone_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "new" / "compose.env"
    env = keep_env(file, settings={}, tell=ignore)
    assert len({env[name] for name in SECRETS}) == len(SECRETS)
    assert all(len(env[name]) >= 32 for name in SECRETS)
    assert len({env[name] for name in PORTS}) == len(PORTS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_env_file(file) == env


def test_secrets_and_ports_are_kept_from_run_to_run(tmp_path: Path) -> None:
    file = tmp_path / "compose.env"
    first = keep_env(file, settings={"MBUS_ALERTS_SETTLE_S": "300"}, tell=ignore)
    again = keep_env(file, settings={"MBUS_ALERTS_SETTLE_S": "5"}, tell=ignore)
    assert again == {**first, "MBUS_ALERTS_SETTLE_S": "5"}


def test_what_an_operator_added_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "compose.env"
    file.write_text("# mine\nMBUS_DATABASE_MEMORY=8g\nMBUS_JWT_SECRET=of-my-own=with-a-sign\n\n", encoding="utf-8")
    env = keep_env(file, settings={}, tell=ignore)
    assert env["MBUS_DATABASE_MEMORY"] == "8g"
    assert env["MBUS_JWT_SECRET"] == "of-my-own=with-a-sign"


def test_a_port_that_another_program_has_gives_way_to_a_free_one_and_that_is_told(
    tmp_path: Path, taken_port: int
) -> None:
    file = tmp_path / "compose.env"
    file.write_text(f"MBUS_PUBLISHED_MQTT_PORT={taken_port}\n", encoding="utf-8")
    told: list[str] = []
    chosen = int(keep_env(file, settings={}, tell=told.append)["MBUS_PUBLISHED_MQTT_PORT"])
    assert chosen != taken_port
    assert ports.is_free(chosen)
    assert f"port {taken_port} is taken, MBUS_PUBLISHED_MQTT_PORT is {chosen}" in told


def test_a_port_that_the_stack_itself_has_is_kept(tmp_path: Path, taken_port: int) -> None:
    file = tmp_path / "compose.env"
    file.write_text(f"MBUS_PUBLISHED_MQTT_PORT={taken_port}\n", encoding="utf-8")
    env = keep_env(file, settings={}, held=frozenset({taken_port}), tell=ignore)
    assert env["MBUS_PUBLISHED_MQTT_PORT"] == str(taken_port)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(StackError, match=f"MBUS_PUBLISHED_QUERY_PORT is {taken_port}"):
        keep_env(tmp_path / "compose.env", settings={"MBUS_PUBLISHED_QUERY_PORT": str(taken_port)}, tell=ignore)


def test_programs_on_this_machine_are_told_the_published_ports(tmp_path: Path) -> None:
    env = keep_env(tmp_path / "compose.env", settings={}, tell=ignore)
    told = host_variables(env)
    assert told["MBUS_QUERY_URL"] == f"http://127.0.0.1:{env['MBUS_PUBLISHED_QUERY_PORT']}"
    assert told["MBUS_MQTT_URL"] == f"mqtt://127.0.0.1:{env['MBUS_PUBLISHED_MQTT_PORT']}"
    assert told["MBUS_DATABASE_URL"] == (
        f"postgresql://mbus:{env['MBUS_DATABASE_PASSWORD']}@127.0.0.1:{env['MBUS_PUBLISHED_DATABASE_PORT']}/mbus"
    )


def test_the_compose_file_asks_for_every_secret_and_publishes_every_port_on_loopback_only() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(MBUS_\w+):?\?", text)) == set(SECRETS)
    published = re.findall(r"([\d.]*):?\$\{(MBUS_PUBLISHED_\w+):-(\d+)\}:(\d+)", text)
    monitoring = {"MBUS_PUBLISHED_PROMETHEUS_PORT", "MBUS_PUBLISHED_GRAFANA_PORT"}  # only by a profile
    assert {name: int(usual) for _, name, usual, _ in published if name not in monitoring} == PORTS
    assert {address for address, _, _, _ in published} == {"127.0.0.1"}


def test_the_compose_file_lets_through_every_setting_of_alerts_with_the_default_that_it_has() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    passed = dict(re.findall(r"(MBUS_ALERTS_\w+): \$\{\1:-([^}]*)\}", text))
    # The container sees it under another name.
    passed |= dict.fromkeys(re.findall(r"(MBUS_ALERTS_\w+): \$\{\1:\+/etc/mbus/smtp-ca\.pem\}", text), "")
    assert "${MBUS_ALERTS_SMTP_CA_FILE:-/dev/null}:/etc/mbus/smtp-ca.pem:ro" in text
    settings = {
        f"MBUS_ALERTS_{name.upper()}": written(field.default)
        for name, field in AlertsSettings.model_fields.items()
        if field.validation_alias is None and name not in OF_THE_STACK
    }
    assert passed == settings


def written(default: object) -> str:
    """A default as a variable says it."""
    match default:
        case None:
            return ""
        case AllowList():
            assert default == AllowList()
            return ""
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def test_two_checkouts_are_two_projects(tmp_path: Path) -> None:
    name = compose.project_name(tmp_path / "one")
    assert re.fullmatch(r"mbus-[0-9a-f]{10}", name)
    assert name != compose.project_name(tmp_path / "two")
    assert name == compose.project_name(tmp_path / "two" / ".." / "one")
