"""The checkout that a stack belongs to, and where in it the stack keeps what it remembers."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli.stack.errors import StackError

ROOTS_DATA = Path("/var/lib/mbus-gateway")
"""Root's servers run as another account, which may not enter a checkout below /root."""


@dataclass(frozen=True)
class Checkout:
    """A working copy of the project, by its top folder."""

    root: Path

    @classmethod
    def here(cls) -> Self:
        """The one that this program is part of."""
        return cls(Path(__file__).resolve().parents[2])

    @property
    def id(self) -> str:
        """Six letters and digits that no other checkout on this machine has."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:6]

    @property
    def folder(self) -> Path:
        """What the stack remembers, by checkout: readable by its owner alone, and not under version control."""
        return self.root / ".mbus"

    @property
    def state_file(self) -> Path:
        """How it runs, and with which processes."""
        return self.folder / "state.json"

    @property
    def env_file(self) -> Path:
        """The variables by which programs reach it."""
        return self.folder / "env"

    @property
    def compose_env_file(self) -> Path:
        """The secrets and ports of the stack in containers."""
        return self.folder / "compose.env"

    @property
    def default_data(self) -> Path:
        """Where servers of its own keep their data."""
        return ROOTS_DATA / self.id if os.geteuid() == 0 else self.folder / "data"

    def log(self, name: str) -> Path:
        """The log of a program of the stack."""
        return self.folder / "logs" / f"{name}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from starting or stopping the stack meanwhile; `StackError` when another is at it."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError("another `mbus up` or `mbus down` is at work in this checkout") from None
            yield
