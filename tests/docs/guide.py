"""A guide with calls and what they print: run, and compared with what stands there."""

import asyncio
import os
import re
import shlex
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

FENCED = re.compile(r"^```(\w*)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
END_OF_CALL = "=== end of call ==="


async def make_checkout(folder: Path, names: dict[str, str], *, token: str) -> None:
    """Let `folder` look like a checkout with a running stack; the command `token` makes the demo token."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".mbus").mkdir()
    printed = await run(token, folder, names)
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in {**names, "MBUS_TOKEN": printed.strip()}.items()]
    (folder / ".mbus" / "env").write_text("".join(lines))


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


async def check(name: str, guide: str, folder: Path, variables: dict[str, str]) -> None:
    """Run all calls of the guide in `folder`, and fail unless they print what it shows."""
    for program in FENCED.finditer(guide):
        if program[1] == "python":
            named = re.match(r'"""(\w+\.py)', program[2])
            assert named is not None, "a program begins with its name"
            (folder / named[1]).write_text(program[2], encoding="utf-8")
    script = "".join(f"{call[2]}echo {shlex.quote(END_OF_CALL)}\n" for call in calls(guide))
    *outputs, _ = (await run(script, folder, variables)).split(f"{END_OF_CALL}\n")
    current = folder / name
    current.write_text(rewritten(guide, outputs), encoding="utf-8")
    assert current.read_text(encoding="utf-8") == guide, f"what it should say is in {current}"
