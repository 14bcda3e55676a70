"""The three services as processes on this machine: what each is told, and when it is ready."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2

from cli.stack.processes import BackgroundProcess, start, wait_until
from cli.stack.strays import MARK

SERVICES = ("ingest", "query", "alerts")
USUAL_PORTS = {"query": 8000, "alerts": 8001, "ingest": 8002}
START_TIMEOUT_S = 60
SETTLE_S = "30"
"""Of `alerts`: a stack to try things with should not take five minutes to say what is silent."""

KEPT_VARIABLES = ("MBUS_JWT_", "MBUS_LOG_LEVEL")


def start_service(
    name: str, *, port: int, variables: Mapping[str, str], root: Path, data: Path, log: Path
) -> BackgroundProcess:
    """Start the service in the background; `variables` are those of the whole stack, and it gets its own of them.

    `root` is the checkout, `data` the folder with the data of its stack.
    """
    prefix = f"MBUS_{name.upper()}_"
    own = {key: value for key, value in variables.items() if key.startswith((prefix, "MBUS_JWT_"))}
    if name == "alerts":
        own.setdefault("MBUS_ALERTS_SETTLE_S", os.environ.get("MBUS_ALERTS_SETTLE_S", SETTLE_S))
    own |= {f"{prefix}HOST": "127.0.0.1", f"{prefix}PORT": str(port)}
    return start(
        [sys.executable, "-m", f"services.{name}"],
        log=log,
        env=inherited_environment(prefix) | own | {MARK: str(data)},
        folder=root,
    )


def inherited_environment(*prefixes: str) -> dict[str, str]:
    """This program's environment; of the `MBUS_…` variables in it, which may open other doors, only those named."""
    kept = (*KEPT_VARIABLES, *prefixes)
    return {name: value for name, value in os.environ.items() if not name.startswith("MBUS_") or name.startswith(kept)}


def wait_for_service(name: str, process: BackgroundProcess, *, port: int, log: Path) -> None:
    """Wait until the service says that it can do its work."""
    wait_until(lambda: is_ready(port), process, name=name, log=log, timeout_s=START_TIMEOUT_S)


def is_ready(port: int) -> bool:
    """Whether the service at this port of this machine says that it can do its work."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).is_success
    except httpx2.TransportError:
        return False
