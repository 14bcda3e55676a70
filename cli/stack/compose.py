"""The stack in containers: whether a Docker engine is there, and `docker compose` on the project of this checkout."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from cli.stack.compose_answers import Container, compose_problem, engine_problem, parse_containers, why_failed
from cli.stack.compose_env import keep_env
from cli.stack.errors import StackError

ASK_TIMEOUT_S = 20
UP_TIMEOUT_S = 1800
"""Images are pulled and built in this time too."""
HEALTHY_TIMEOUT_S = 240
LOGS_TIMEOUT_S = 60
DOWN_TIMEOUT_S = 300

ERASE_LINE = "\x1b[2K"
"""Compose begins each line of a log with it, also in a pipe and with `--ansi never`."""


class ComposeError(StackError):
    """The containers did not come up or did not go down."""


def find_engine() -> str | None:
    """None when a Docker engine answers and has compose; otherwise one line that says why there is none to use."""
    try:
        info = _docker(["info", "--format", "{{.ServerVersion}} {{.OSType}}"])
        if (problem := engine_problem(info.returncode, info.stdout, info.stderr)) is not None:
            return problem
        version = _docker(["compose", "version", "--short"])
        return compose_problem(version.returncode, version.stdout)
    except ComposeError as error:
        return str(error)


def project_name(folder: Path) -> str:
    """The compose project of the checkout in `folder`: two checkouts run side by side."""
    return f"mbus-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]}"


def prepare(
    folder: Path, env_file: Path, *, settings: Mapping[str, str], tell: Callable[[str], None]
) -> dict[str, str]:
    """Write the file of secrets and ports, and return it. `settings` are more variables for docker-compose.yml.

    A port that another program has taken since gives way to a free one, which is told.
    Volumes of an earlier stack hold the passwords of its file; without that file they can only be removed.
    """
    if not env_file.exists() and (volumes := _of_project(folder, "volume")):
        raise ComposeError(
            f"{env_file} is gone, and with it the passwords of the volumes {' and '.join(volumes)}: put it back,"
            f" or remove them with their data by `docker compose --project-name {project_name(folder)} down --volumes`"
        )
    held = frozenset(port for container in status(folder) for port in container.ports)
    return keep_env(env_file, settings=settings, held=held, tell=tell)


def up(folder: Path, env_file: Path, *, log: Path) -> None:
    """Build the images, start the containers and wait until they are healthy.

    What compose says goes to `log`. When it fails, so do the last lines of every container, and those that were
    started are stopped again; their volumes stay.
    """
    options = ["--project-directory", str(folder), "--file", str(folder / "docker-compose.yml")]
    options += ["--env-file", str(env_file), "--progress", "plain"]
    command = ["up", "--build", "--detach", "--wait", "--wait-timeout", str(HEALTHY_TIMEOUT_S)]
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        try:
            if _compose(folder, [*options, *command], timeout_s=UP_TIMEOUT_S, output=output) == 0:
                return
            output.seek(0)
            reason = why_failed(output.read(), status(folder))
        except ComposeError as error:
            reason = str(error)
        _compose(folder, ["logs", "--no-color", "--tail", "200"], timeout_s=LOGS_TIMEOUT_S, output=output)
    down(folder, log=log)
    raise ComposeError(f"{reason} (log: {log})")


def down(folder: Path, *, log: Path) -> None:
    """Stop and remove the containers; the volumes with the data stay."""
    _take_down(folder, [], log=log)


def clean(folder: Path, env_file: Path, *, log: Path) -> None:
    """Remove the containers, the volumes with all data, the images built here, and the file of secrets."""
    _take_down(folder, ["--volumes"], log=log)
    if images := _of_project(folder, "image"):
        _docker(["image", "rm", "--force", *images], timeout_s=DOWN_TIMEOUT_S)
    env_file.unlink(missing_ok=True)


def status(folder: Path) -> list[Container]:
    """The project's containers, ended ones included, by name of service."""
    answer = _docker(["compose", "--project-name", project_name(folder), "ps", "--all", "--format", "json"])
    if answer.returncode != 0:
        raise ComposeError(f"the containers cannot be listed: {why_failed(answer.stderr, [])}")
    return parse_containers(answer.stdout)


def logs(folder: Path, services: Sequence[str] = (), *, lines: int = 100, follow: bool = False) -> None:
    """Print the last `lines` of each service's log on this terminal; with `follow`, until it is interrupted."""
    options = ["--tail", str(lines), *(["--follow"] if follow else [])]
    if sys.stdout.isatty():
        _compose(folder, ["logs", *options, *services], timeout_s=None, output=None)
        return
    command = [_client(), "compose", "--project-name", project_name(folder), "logs", "--no-color", *options, *services]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, errors="replace", cwd="/", env=_environment()
    ) as compose:
        for line in compose.stdout or ():
            print(line.replace(ERASE_LINE, ""), end="", flush=True)


def _take_down(folder: Path, options: Sequence[str], *, log: Path) -> None:
    with log.open("a+", encoding="utf-8", errors="replace") as output:
        start = output.seek(0, os.SEEK_END)
        if _compose(folder, ["down", *options], timeout_s=DOWN_TIMEOUT_S, output=output) != 0:
            output.seek(start)
            raise ComposeError(f"the containers were not stopped: {why_failed(output.read(), [])} (log: {log})")


def _of_project(folder: Path, kind: str) -> list[str]:
    """The names of the project's volumes or the ids of the images that were built for it."""
    label = f"label=com.docker.compose.project={project_name(folder)}"
    return sorted(set(_docker([kind, "ls", "--quiet", "--filter", label]).stdout.split()))


def _docker(arguments: Sequence[str], *, timeout_s: float = ASK_TIMEOUT_S) -> "subprocess.CompletedProcess[str]":
    """Ask the client something short. `ComposeError` when there is no client or no answer in time."""
    try:
        return subprocess.run(
            [_client(), *arguments],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ComposeError(f"Docker gave no answer within {timeout_s:.0f} s") from error


def _compose(folder: Path, arguments: Sequence[str], *, timeout_s: float | None, output: IO[str] | None) -> int:
    """Run `docker compose` on the project, with what it says in `output` or on this terminal; returns its exit code.

    By its name alone the project is found by its labels, also when its files have changed or are gone. `/` as the
    working folder keeps compose from taking a file that lies around.
    """
    plain = [] if output is None else ["--ansi", "never"]
    try:
        return subprocess.run(
            [_client(), "compose", "--project-name", project_name(folder), *plain, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            timeout=timeout_s,
            cwd="/",
            env=_environment(),
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise ComposeError(f"docker compose {arguments[0]} did not end within {timeout_s:.0f} s") from error


def _client() -> str:
    client = shutil.which("docker")
    if client is None:
        raise ComposeError("there is no Docker client on PATH")
    return client


def _environment() -> dict[str, str]:
    """This program's environment without what would go before the file of secrets and ports, or name other files."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MBUS_", "COMPOSE_"))}
