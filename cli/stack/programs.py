"""The programs of a stack that run as background processes here: how each is started, noted, and asked to end."""

from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGINT, SIGTERM, Signals

from cli.stack.errors import StackError
from cli.stack.ports import is_free, next_free
from cli.stack.processes import BackgroundProcess
from cli.stack.state import State


@dataclass(frozen=True)
class Ending:
    """What asks a program to end, and how many seconds it may take."""

    signal: Signals
    patience_s: float


ENDINGS = {
    "simulator": Ending(SIGTERM, 15),
    "alerts": Ending(SIGTERM, 40),
    "query": Ending(SIGTERM, 40),
    "ingest": Ending(SIGTERM, 40),
    "rabbitmq": Ending(SIGTERM, 90),
    "epmd": Ending(SIGTERM, 10),
    # Open connections are closed, what is committed is kept.
    "postgres": Ending(SIGINT, 90),
}
"""In the order in which they end: who uses a server goes before it."""


def ensure(
    name: str, state: State, begin: Callable[[], BackgroundProcess], *, tell: Callable[[str], None]
) -> BackgroundProcess:
    """The program's process, started with `begin` where it does not run, and noted at once."""
    if state.is_alive(name):
        return state.processes[name]
    tell(f"starting {name}")
    state.processes[name] = begin()
    state.save()
    return state.processes[name]


def end(name: str, state: State) -> bool:
    """End the program, if it runs, and forget its process; False if it had to be killed."""
    ending = ENDINGS[name]
    process = state.processes[name]
    gently = process.stop(patience_s=ending.patience_s, first=ending.signal)
    del state.processes[name]
    state.save()
    return gently


def find_port(name: str, state: State, *, usual: int, wanted: int | None = None, tell: Callable[[str], None]) -> int:
    """The port for a program that is about to start: the one that was asked for, or had before, or a free one.

    It is noted in `state`, so that it stays the same as long as it can be had.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise StackError(f"MBUS_{name.upper()}_PORT is {wanted}, and another program has that port")
        port = wanted
    else:
        others = frozenset(port for other, port in state.ports.items() if other != name)
        port = state.ports.get(name, usual)
        if port in others or not is_free(port):
            earlier, port = port, _next_free(usual, taken=others)
            tell(f"port {earlier} is taken, {name} gets {port}")
    state.ports[name] = port
    state.save()
    return port


def _next_free(usual: int, *, taken: frozenset[int]) -> int:
    try:
        return next_free(usual, taken=taken)
    except LookupError as error:
        raise StackError(str(error)) from error
