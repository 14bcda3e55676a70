"""A program under measurement: a Python module in a process of its own, its metrics, and what it took."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.errors import BenchError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 30.0


class Program:
    """A running module that listens on `port`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
        self._process = process
        self._client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)
        self._log = log
        self.peak_rss_bytes = 0
        """The largest resident set that it had, known when it has ended; 0 where the system does not tell."""
        self.cpu_s = 0.0
        """The processor time that it took, of users and system; known when it has ended."""

    async def metrics(self) -> dict[str, float]:
        """Its metrics now: the value of each sample by `name{label="value"}`, and without braces where it has none."""
        answer = await self._get("/metrics")
        return {
            sample.name
            + ("{" + ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items())) + "}")
            * bool(sample.labels): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def ready(self, path: str) -> None:
        """Return when it answers 200 at `path` for the first time; `BenchError` when it does not in time."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while True:
                    if await self._answers(path):
                        return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BenchError(f"the program did not start: {self._last_lines()}") from None

    async def stop(self) -> None:
        """End it as an operator would, and note what it took."""
        await self._client.aclose()
        if self._process.poll() is None:
            self.peak_rss_bytes = self._peak_rss_bytes()
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                _, _, usage = await asyncio.to_thread(os.wait4, self._process.pid, 0)
        except TimeoutError:
            self._process.kill()
            raise BenchError("the program did not stop") from None
        except ChildProcessError:
            return  # it ended by itself, which was told before
        self._process.returncode = 0
        self.cpu_s = usage.ru_utime + usage.ru_stime

    async def _answers(self, path: str) -> bool:
        try:
            return (await self._get(path)).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    async def _get(self, path: str) -> httpx2.Response:
        if self._process.poll() is not None:
            raise BenchError(f"the program ended by itself: {self._last_lines()}")
        return await self._client.get(path)

    def _peak_rss_bytes(self) -> int:
        """Not `ru_maxrss` of getrusage(2): that of a child begins with what its parent had (Linux)."""
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0
        peak = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024

    def _last_lines(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it said nothing"


@asynccontextmanager
async def running_program(
    module: str, *, port: int, variables: Mapping[str, str], ready_at: str = "/metrics"
) -> AsyncIterator[Program]:
    """`python -m module` with `variables` and no other `MBUS_` ones, until the block ends.

    It begins when the program answers 200 at `ready_at`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MBUS_")}
    with tempfile.TemporaryFile() as log:
        # Not asyncio's own: its watcher would take the exit status, and with it what the process took.
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - starting takes a moment only, and it is our own module
            [sys.executable, "-m", module],
            env=environment | dict(variables),
            cwd=Path(__file__).parents[1],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        program = Program(process, port, log)
        try:
            await program.ready(ready_at)
            yield program
        finally:
            await program.stop()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
