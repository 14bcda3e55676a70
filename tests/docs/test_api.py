"""Every call in docs/api.md works, and its output is what stands there."""

import asyncio
import os
import re
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.docs.sample_tenant import TENANT_ID, create_sample_tenant
from tests.support.databases import Database
from tests.support.processes import running
from tests.support.tokens import SECRET

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "api.md"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
END_OF_CALL = "=== end of call ==="


@pytest.fixture
async def folder(database: Database, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Path]:
    """A folder that looks like a checkout with a running stack, of which the sample tenant is the demo one."""
    await create_sample_tenant(engine)
    variables = {"MBUS_QUERY_DATABASE_URL": database.query_url, "MBUS_JWT_SECRET": SECRET}
    async with running(variables) as (_, url):
        (tmp_path / ".venv").symlink_to(sys.prefix)
        (tmp_path / ".mbus").mkdir()
        names = {"MBUS_QUERY_URL": url, "MBUS_TENANT_ID": str(TENANT_ID), "MBUS_JWT_SECRET": SECRET}
        token = await run(".venv/bin/mbus token --tenant $MBUS_TENANT_ID", tmp_path, names)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in {**names, "MBUS_TOKEN": token.strip()}.items()]
        (tmp_path / ".mbus" / "env").write_text("".join(lines))
        yield tmp_path


async def run(script: str, folder: Path, variables: dict[str, str]) -> str:
    """What the script prints; it fails the test where one of its commands fails."""
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **variables},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, ""), output.decode()[-2000:]
    return output.decode()


def calls(guide: str) -> list[re.Match[str]]:
    """The blocks of commands, and of what they print where that stands behind them."""
    return [found for found in FENCED.finditer(guide) if found[1] == "sh"]


def rewritten(guide: str, outputs: list[str]) -> str:
    """The guide with these outputs in place of those that stand behind its calls."""
    new = guide
    for call, output in reversed(list(zip(calls(guide), outputs, strict=True))):
        shown = FENCED.match(guide, call.end() + 1)
        if shown is not None and shown[1] in {"", "json"}:
            new = f"{new[: shown.start(2)]}{output}{new[shown.end(2) :]}"
        else:
            assert not output, f"nothing is said of what this prints: {call[2]}"
    return new


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's calls are made with curl")
async def test_every_call_works_and_prints_what_the_guide_shows(folder: Path) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for program in FENCED.finditer(guide):
        if program[1] == "python":
            name = re.match(r'"""(\w+\.py)', program[2])
            assert name is not None, "a program begins with its name"
            (folder / name[1]).write_text(program[2], encoding="utf-8")
    script = "".join(f"{call[2]}echo {shlex.quote(END_OF_CALL)}\n" for call in calls(guide))
    *outputs, _ = (await run(script, folder, {"MBUS_JWT_SECRET": SECRET})).split(f"{END_OF_CALL}\n")
    current = folder / "api.md"
    current.write_text(rewritten(guide, outputs), encoding="utf-8")
    assert current.read_text(encoding="utf-8") == guide, f"what it should say is in {current}"
