"""Processes in the background: started with a log of their own, waited for, recognised later, and stopped."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, Self

import psutil
from typing_extensions import override

from cli.stack.accounts import Account
from cli.stack.errors import StackError

POLL_S = 0.1
END_POLL_S = 0.02
LEFT_BEHIND_S = 5
COMPLAINT = re.compile(r"error|fatal|panic|could not|cannot|failed|no space|in use|eaddrinuse", re.IGNORECASE)
LINE_LENGTH = 300


class _Started(subprocess.Popen[bytes]):
    """A program that is meant to outlive this one, which may forget it while it runs."""

    @override
    def __del__(self) -> None:
        """Not a leak, of which Popen would warn."""


@dataclass(frozen=True)
class BackgroundProcess:
    """A process by its number and its start, so that another one that later gets the number is never taken for it.

    `since_boot` is in seconds: it does not move when the clock of the machine is set.
    """

    pid: int
    since_boot: float
    handle: _Started | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, pid: int, *, with_argument: str) -> Self | None:
        """The process with this number, if it was started with that argument; None where there is none, or another."""
        try:
            found = psutil.Process(pid)
            return cls(pid, _since_boot(found)) if with_argument in found.cmdline() else None
        except psutil.NoSuchProcess:
            return None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; one that has ended and was not collected by its parent does not."""
        if self.handle is not None and self.handle.poll() is not None:
            return False
        return self._find() is not None

    @property
    def started_at(self) -> float | None:
        """When it started, in seconds since 1970; None when it does not run."""
        found = self._find()
        return None if found is None else found.create_time()

    @property
    def family(self) -> list[int]:
        """The numbers of the process and of all that it has started; empty when it does not run."""
        found = self._find()
        try:
            return [] if found is None else [it.pid for it in (found, *found.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def stop(self, *, patience_s: float, first: Signals = SIGTERM) -> bool:
        """Ask it to end and wait; after `patience_s` it is killed with its children. False if it had to be."""
        found = self._find()
        if found is None:
            return True
        try:
            family = [found, *found.children(recursive=True)]
            found.send_signal(first)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied as error:
            raise StackError(f"process {self.pid} belongs to somebody else and cannot be stopped") from error
        alive = wait_for_end([found], timeout_s=patience_s)
        # What a server leaves behind for a moment ends by itself; only a stuck one is killed with all it has.
        kill(wait_for_end(family, timeout_s=0 if alive else LEFT_BEHIND_S))
        if self.handle is not None:
            self.handle.wait()
        return not alive

    def _find(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.pid)
            return found if abs(_since_boot(found) - self.since_boot) < 1 and _runs(found) else None
        except psutil.NoSuchProcess:
            return None


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    folder: Path,
    account: Account | None = None,
    umask: int = -1,
) -> BackgroundProcess:
    """Start `command` in a session of its own, deaf to this terminal, with its output in `log`.

    The log of the start before is kept beside it as `….1`.
    """
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    who: dict[str, Any] = {} if account is None else account.as_popen
    with log.open("wb") as output:
        try:
            handle = _Started(
                [str(part) for part in command],
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=umask,
                **who,
            )
        except OSError as error:
            raise StackError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        return BackgroundProcess(handle.pid, _since_boot(psutil.Process(handle.pid)), handle)
    except psutil.NoSuchProcess:
        return BackgroundProcess(handle.pid, 0, handle)


def wait_until(
    ready: Callable[[], bool], process: BackgroundProcess, *, name: str, log: Path, timeout_s: float
) -> None:
    """Wait until `ready()`; `StackError` with the log's last complaint when the process ends or takes too long."""
    give_up_at = time.monotonic() + timeout_s
    while not ready():
        if not process.is_alive:
            raise StackError(f"{name} did not start: {last_complaint(log)} (log: {log})")
        if time.monotonic() > give_up_at:
            raise StackError(f"{name} was not ready within {timeout_s:.0f} s: {last_complaint(log)} (log: {log})")
        time.sleep(POLL_S)


def wait_for_end(processes: Sequence[psutil.Process], *, timeout_s: float) -> list[psutil.Process]:
    """Wait until they have ended, collected by their parents or not; returns those that have not in time."""
    give_up_at = time.monotonic() + timeout_s
    while (alive := [process for process in processes if _runs(process)]) and time.monotonic() < give_up_at:
        time.sleep(END_POLL_S)
    return alive


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill them, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_end(processes, timeout_s=LEFT_BEHIND_S)


def last_complaint(log: Path) -> str:
    """The last line of a log that speaks of a full disk, else of a failure, else its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    full = [line for line in lines if "No space left" in line]
    complaints = [line for line in lines if COMPLAINT.search(line)]
    return (full or complaints or lines or ["it said nothing"])[-1][:LINE_LENGTH]


def _since_boot(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that only waits for its parent to collect it has, and may wait for long."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
