"""Ports on 127.0.0.1: which are free, and which a program of the stack takes."""

import socket

STEP = 10
"""From a program's usual port to the next that is tried, so that the ports of a stack keep their last digit."""
TRIES = 200
HIGHEST = 65_535


def is_free(port: int) -> bool:
    """Whether a program could listen on 127.0.0.1 at this port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def next_free(usual: int, *, taken: frozenset[int] = frozenset()) -> int:
    """The first free port from `usual` on, in steps, that is not among `taken`; `LookupError` when there is none."""
    for port in range(usual, min(usual + TRIES * STEP, HIGHEST), STEP):
        if port not in taken and is_free(port):
            return port
    raise LookupError(f"no port from {usual} on is free")


def any_free() -> int:
    """A port that is free now, one of those that the system gives out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
