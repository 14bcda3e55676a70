"""Programs of a stack that nobody remembers: somebody removed `.mbus`, or cleaned the checkout, while it ran."""

from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM

import psutil

MARK = "MBUS_STACK"
"""In the environment of each program: the folder with the stack's data, or one in it."""

SERVERS = ("postgres", "beam.smp")
PATIENCE_S = 60


def end_strays(data: Path, *, tell: Callable[[str], None]) -> bool:
    """End the programs of the stack with this data, which has no others; False where there are none."""
    strays = list(_strays(data))
    if not strays:
        return False
    tell(f"stopping what was left of an earlier stack: {', '.join(sorted({name for _, name in strays}))}")
    for process, name in strays:
        # PostgreSQL would wait for its clients after the usual signal.
        _signal(process, SIGINT if name == "postgres" else SIGTERM)
    _, alive = psutil.wait_procs([process for process, _ in strays], timeout=PATIENCE_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    return True


def _strays(data: Path) -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        try:
            name = process.name()
            if _is_server_of(data, name, process) or process.environ().get(MARK, "").startswith(str(data)):
                yield process, name
        except psutil.Error:
            continue  # ended meanwhile, or somebody else's


def _is_server_of(data: Path, name: str, process: psutil.Process) -> bool:
    """Whether this is PostgreSQL or RabbitMQ on that data; its arguments tell, its environment may be out of sight."""
    return name in SERVERS and any(argument.startswith(str(data)) for argument in process.cmdline())


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
