"""Schemathesis, which makes requests from a service's OpenAPI document and looks at the answers."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest


def requests_of(config: pytest.Config) -> list[str]:
    """The same few requests every time; with `--examples` so many for each operation, drawn from `--seed`."""
    examples, seed = config.getoption("--examples"), config.getoption("--seed")
    same = ["--max-examples=20", "--generation-deterministic"]
    return same if examples is None else [f"--max-examples={examples}", f"--seed={seed}"]


@dataclass(frozen=True)
class Schemathesis:
    """The program, set on a service, in a folder where it may leave files."""

    url: str
    folder: Path
    amount: list[str]

    async def findings(
        self,
        headers: dict[str, str],
        *arguments: str,
        accepted: list[int | str],
        rejected: list[int | str],
    ) -> str:
        """What it reports at its end when it found something, else nothing.

        `accepted` are the right answers to what the schema allows, `rejected` those to what it does not.
        """
        configuration = self.folder / "schemathesis.toml"
        configuration.write_text(
            f"[checks]\npositive_data_acceptance.expected-statuses = {accepted}\n"
            f"negative_data_rejection.expected-statuses = {rejected}\n"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={configuration}"),
            *("run", f"{self.url}/openapi.json", "--checks=all", "--continue-on-failure", "--no-color"),
            *(f"--header={name}:{value}" for name, value in headers.items()),
            *(*self.amount, *arguments),
            cwd=self.folder,
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        return "" if process.returncode == 0 else output.decode()
