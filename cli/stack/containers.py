"""A stack in Docker containers, driven by docker compose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cli.stack import compose
from cli.stack.checkout import Checkout
from cli.stack.compose_env import host_variables
from cli.stack.services import SERVICES, SETTLE_S

CONTAINERS = ("database", "broker", *SERVICES)


@dataclass(frozen=True)
class ContainerStack:
    """A checkout's stack in containers; the Docker engine remembers what runs."""

    checkout: Checkout
    wanted_ports: Mapping[str, int]
    tell: Callable[[str], None]

    def ensure(self) -> dict[str, str]:
        """Start what does not run, and return the stack's variables."""
        settings = {f"MBUS_PUBLISHED_{name.upper()}_PORT": str(port) for name, port in self.wanted_ports.items()}
        settings["MBUS_ALERTS_SETTLE_S"] = SETTLE_S
        env = compose.prepare(self.checkout.root, self.checkout.compose_env_file, settings=settings, tell=self.tell)
        if not self.all_run():
            self.tell("building images and starting containers with docker compose (minutes the first time)")
            compose.up(self.checkout.root, self.checkout.compose_env_file, log=self.checkout.log("compose"))
        return host_variables(env)

    def all_run(self) -> bool:
        """Whether every container that should run does, and is healthy."""
        containers = {it.service: it for it in compose.status(self.checkout.root)}
        return all(
            name in containers and containers[name].state == "running" and containers[name].health != "unhealthy"
            for name in CONTAINERS
        )
