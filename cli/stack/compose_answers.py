"""What `docker` and `docker compose` answer, read: is this engine good enough, what runs, and why did it fail."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OLDEST_COMPOSE = (2, 20)

# In the order in which they are looked for: a full disk also makes a build fail.
FAILURES = tuple(
    (re.compile(pattern, re.MULTILINE), meaning)
    for pattern, meaning in (
        (r"no space left on device", "the disk is full"),
        (
            r"(?:Bind for|listen tcp4?|exposing port TCP) \S+?:(?P<port>\d+)\b",
            "port {port} was taken by another program meanwhile: start again",
        ),
        # Its base image, as the summary at the end of a build names it.
        (r"^ > \[.*\bload metadata for (?P<image>\S+):$", "the image {image} cannot be pulled"),
        (r"^ ?(?:Image )?(?P<name>\S+) Error\b", "an image cannot be pulled ({name})"),
        (r"^Error response from daemon: .*(?:/v2/|pull access|manifest)", "an image cannot be pulled"),
        (r"\[/bin/sh -c (?P<step>[^]\n]+)]: exit code", "an image cannot be built: `{step}` failed"),
        (r'process "/bin/sh -c (?P<step>[^"\n]+)" did not complete', "an image cannot be built: `{step}` failed"),
        (r"^failed to solve: (?P<why>.+)", "an image cannot be built: {why}"),
    )
)


@dataclass(frozen=True)
class Container:
    """One container: `state` is such as running or exited, `health` such as healthy, or empty without a check.

    `ports` are those of this machine under which it can be reached.
    """

    service: str
    state: str
    health: str
    exit_code: int
    ports: frozenset[int] = frozenset()

    @property
    def complaint(self) -> str | None:
        """What is wrong with it; None for one that is well, ended as it should, or was never started."""
        if self.state == "exited":
            return f"{self.service} ended with exit code {self.exit_code}" if self.exit_code else None
        if self.state in {"restarting", "dead"}:
            return f"{self.service} is {self.state}"
        return f"{self.service} is {self.health}" if self.health in {"unhealthy", "starting"} else None


def engine_problem(returncode: int, answer: str, complaint: str) -> str | None:
    """Why an engine cannot be used that answered `docker info` like this; None when it can.

    `answer` is the server's version and its kind of system, as in `20.10.24 linux`.
    """
    words = answer.split()
    if returncode != 0 or len(words) < len(("version", "system")):
        return _why_no_answer(complaint)
    return None if words[-1] == "linux" else f"the Docker engine runs {words[-1]} containers, not linux"


def _why_no_answer(complaint: str) -> str:
    if "permission denied" in complaint:
        return "there is no permission to talk to the Docker daemon"
    if "Cannot connect to the Docker daemon" in complaint:
        return "no Docker daemon runs"
    said = next((line.strip() for line in complaint.splitlines() if line.strip()), "it said nothing")
    return f"no Docker engine answers: {said}"


def compose_problem(returncode: int, answer: str) -> str | None:
    """Why a compose cannot be used that answered `docker compose version --short` like this; None when it can."""
    version = re.match(r"v?(\d+)\.(\d+)", answer.strip())
    if returncode != 0 or version is None:
        return "the Docker client has no compose plugin"
    if (int(version[1]), int(version[2])) < OLDEST_COMPOSE:
        return f"docker compose {answer.strip()} is older than {'.'.join(map(str, OLDEST_COMPOSE))}"
    return None


def parse_containers(answer: str) -> list[Container]:
    """Read `docker compose ps --format json`: an object a line, or before compose 2.21 one list of them."""
    rows = json.loads(answer) if answer.lstrip().startswith("[") else map(json.loads, answer.splitlines())
    return sorted(map(_container, rows), key=lambda container: container.service)


def _container(row: dict[str, Any]) -> Container:
    # A port that is only exposed is published as 0.
    ports = frozenset(it["PublishedPort"] for it in row["Publishers"] or () if it["PublishedPort"])
    return Container(row["Service"], row["State"], row["Health"], row["ExitCode"], ports)


def why_failed(output: str, containers: Sequence[Container]) -> str:
    """One line that says why `docker compose` failed, from what it said and what it left."""
    for pattern, meaning in FAILURES:
        if found := pattern.search(output):
            return meaning.format(**found.groupdict())
    if complaints := [container.complaint for container in containers if container.complaint]:
        return ", ".join(complaints)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"docker compose failed: {lines[-1] if lines else 'it said nothing'}"
