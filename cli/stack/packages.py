"""RabbitMQ from the distribution's packages, where that is allowed; else what to install, by name."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from cli.stack.errors import StackError

SCRIPT = Path(__file__).with_name("install_rabbitmq.sh")
TIMEOUT_S = 1200
BY_HAND = (
    "RabbitMQ is not installed: install it (Debian, Ubuntu: `sudo apt-get update && sudo apt-get install"
    " rabbitmq-server`; macOS: `brew install rabbitmq`; elsewhere RabbitMQ 3.10 or later), or name a broker"
)


def install_rabbitmq(*, instead: str, tell: Callable[[str], None]) -> None:
    """Install RabbitMQ with apt, its system service not started; `StackError` says what to do where that cannot be.

    `instead` is the variable that names a broker to use without one of this machine's.
    """
    by_hand = f"{BY_HAND} in {instead}"
    if shutil.which("apt-get") is None or not Path("/etc/debian_version").exists():
        raise StackError(by_hand)
    if os.geteuid() == 0:
        as_root: list[str] = []
    elif _sudo_asks_nothing():
        as_root = ["sudo", "-n"]
    else:
        raise StackError(by_hand)
    tell("installing RabbitMQ with apt; its system service stays off")
    try:
        done = subprocess.run(
            [*as_root, "sh", str(SCRIPT)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"apt-get did not end within {TIMEOUT_S} s; {by_hand}") from error
    if done.returncode != 0:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        complaints = [line for line in said if line.startswith("E:")] or said or ["it said nothing"]
        raise StackError(f"apt-get failed: {complaints[-1]}; {by_hand}")


def _sudo_asks_nothing() -> bool:
    sudo = shutil.which("sudo")
    return sudo is not None and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
