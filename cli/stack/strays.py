"""Programs of a stack that are not noted: `.mbus` was removed while it ran, or what had started them was killed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM

import psutil

from cli.stack.processes import BackgroundProcess, kill, wait_for_end

MARK = "MBUS_STACK"
"""In the environment of each program: the folder with the stack's data, or one in it."""

SERVERS = ("postgres", "beam.smp")
PATIENCE_S = 60


def end_strays(data: Path, *, noted: Iterable[BackgroundProcess], tell: Callable[[str], None]) -> bool:
    """End the programs of the stack with this data, but for those `noted` and their children; False without any.

    They have ports and data that the stack is about to use again.
    """
    strays = list(_strays(data, noted))
    if not strays:
        return False
    pids = {process.pid for process, _ in strays}
    # The others are their children, and RabbitMQ loses its head when one of its own goes before it.
    firsts = [(process, name) for process, name in strays if _parent(process) not in pids]
    tell(f"stopping what was left of an earlier stack: {', '.join(sorted({name for _, name in firsts}))}")
    for process, name in firsts:
        # PostgreSQL would wait for its clients after the usual signal.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(SIGINT if name == "postgres" else SIGTERM)
    kill(wait_for_end([process for process, _ in strays], timeout_s=PATIENCE_S))
    return True


def _strays(data: Path, noted: Iterable[BackgroundProcess]) -> Iterator[tuple[psutil.Process, str]]:
    remembered = {pid for process in noted for pid in process.family}
    for process in psutil.process_iter():
        try:
            if process.pid in remembered:
                continue
            name = process.name()
            if _is_server_of(data, name, process) or process.environ().get(MARK, "").startswith(str(data)):
                yield process, name
        except psutil.Error:
            continue  # ended meanwhile, or somebody else's


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _is_server_of(data: Path, name: str, process: psutil.Process) -> bool:
    """Whether this is PostgreSQL or RabbitMQ on that data; its arguments tell, its environment may be out of sight."""
    return name in SERVERS and any(argument.startswith(str(data)) for argument in process.cmdline())
